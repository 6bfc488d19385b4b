DROP TABLE calls, presence, chat_labels, labels, group_members, groups;
