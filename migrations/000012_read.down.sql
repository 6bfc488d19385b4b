DROP TABLE read_receipts;
