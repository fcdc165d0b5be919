"""Files made to do harm, by format, and the room in which a command is handed one."""
