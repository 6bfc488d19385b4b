DROP TRIGGER chats_address ON chats;
DROP FUNCTION give_chat_its_address();
DROP FUNCTION address_of(text);
DROP TABLE chat_merges;
DROP TABLE addresses;
