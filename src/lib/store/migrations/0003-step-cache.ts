/** Steps of builds that were kept, and labels of images. */
export const stepCache = `
CREATE TABLE cached_steps (
  id TEXT PRIMARY KEY NOT NULL,
  key TEXT NOT NULL,
  state_key TEXT NOT NULL,
  before_key TEXT,
  parent_id TEXT REFERENCES cached_steps (id) ON DELETE SET NULL,
  kind TEXT NOT NULL CHECK (kind IN ('step', 'result')),
  state TEXT NOT NULL CHECK (state IN ('coming', 'kept', 'going')),
  run_id TEXT NOT NULL,
  title TEXT NOT NULL,
  inputs TEXT NOT NULL,
  facts TEXT NOT NULL,
  stamp TEXT NOT NULL,
  bytes INTEGER NOT NULL CHECK (bytes >= 0),
  base TEXT,
  base_bytes INTEGER NOT NULL CHECK (base_bytes >= 0),
  created_at TEXT NOT NULL,
  used_at TEXT NOT NULL
) STRICT;
CREATE INDEX cached_steps_by_key ON cached_steps (key);
CREATE INDEX cached_steps_by_state ON cached_steps (state_key);
CREATE INDEX cached_steps_by_beginning ON cached_steps (before_key);
CREATE INDEX cached_steps_by_parent ON cached_steps (parent_id);
CREATE INDEX cached_steps_unsettled ON cached_steps (run_id) WHERE state <> 'kept';

CREATE TABLE step_uses (
  step_id TEXT NOT NULL REFERENCES cached_steps (id) ON DELETE CASCADE,
  run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  PRIMARY KEY (step_id, run_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX step_uses_by_run ON step_uses (run_id);

ALTER TABLE images ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
`;
