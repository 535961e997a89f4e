/** `bang` in ASCII: marks a SQLite file as ours (PRAGMA application_id). */
export const APPLICATION_ID = 0x62616e67;
/** How many migrations this program knows; the list itself is loaded only to run one. */
export const SCHEMA_VERSION = 4;
