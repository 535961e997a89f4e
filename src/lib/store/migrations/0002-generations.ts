/** Generations of a name, the trash, and the operations on them. SQLite cannot change a CHECK but by making the table anew. */
export const generations = `
ALTER TABLE images ADD COLUMN generation INTEGER NOT NULL DEFAULT 1 CHECK (generation > 0);
ALTER TABLE images ADD COLUMN recipe_digest TEXT;

CREATE TABLE operations_new (
  id TEXT PRIMARY KEY NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN (
    'build', 'bootstrap', 'register', 'promote', 'delete', 'rename', 'rollback', 'prune', 'protect', 'unprotect',
    'restore', 'empty'
  )),
  state TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'cancelled', 'interrupted')),
  run_id TEXT NOT NULL,
  pid INTEGER NOT NULL,
  host TEXT NOT NULL,
  command TEXT NOT NULL,
  image_id TEXT NOT NULL,
  image_name TEXT NOT NULL,
  stage TEXT,
  stage_started_at TEXT,
  stage_dir TEXT,
  artifact_dir TEXT,
  planned_image TEXT,
  log_path TEXT,
  error TEXT,
  cancel_requested_at TEXT,
  started_at TEXT NOT NULL,
  finished_at TEXT,
  CHECK ((state = 'running') = (finished_at IS NULL))
) STRICT;
INSERT INTO operations_new SELECT
  id, kind, state, run_id, pid, host, command, image_id, image_name, stage, stage_started_at, stage_dir, artifact_dir,
  planned_image, log_path, error, cancel_requested_at, started_at, finished_at
FROM operations;
DROP TABLE operations;
ALTER TABLE operations_new RENAME TO operations;
CREATE INDEX operations_running ON operations (run_id) WHERE state = 'running';
CREATE INDEX operations_by_start ON operations (started_at);
CREATE INDEX operations_by_image ON operations (image_id);

CREATE TABLE trash (
  image_id TEXT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL,
  image TEXT NOT NULL,
  deleted_at TEXT NOT NULL
) STRICT;
CREATE INDEX trash_by_age ON trash (deleted_at);
`;
