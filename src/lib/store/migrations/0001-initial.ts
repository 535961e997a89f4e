/** The first schema. Frozen once released: a change is a migration of its own. */
export const initial = `
CREATE TABLE images (
  id TEXT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL UNIQUE,
  managed INTEGER NOT NULL CHECK (managed IN (0, 1)),
  artifact_dir TEXT UNIQUE,
  rootfs_path TEXT NOT NULL,
  work_seed_path TEXT,
  kernel_path TEXT NOT NULL,
  initrd_path TEXT,
  modules_dir TEXT,
  build_size INTEGER CHECK (build_size > 0),
  packages_preset TEXT,
  docker INTEGER NOT NULL DEFAULT 0 CHECK (docker IN (0, 1)),
  seeded_ssh_public_key_fingerprint TEXT,
  kernel_format TEXT,
  kernel_version TEXT,
  base_image_id TEXT,
  base_image_name TEXT,
  protected INTEGER NOT NULL DEFAULT 0 CHECK (protected IN (0, 1)),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  CHECK ((managed = 1) = (artifact_dir IS NOT NULL)),
  CHECK (seeded_ssh_public_key_fingerprint IS NULL OR work_seed_path IS NOT NULL)
) STRICT;

CREATE TABLE vms (
  id TEXT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL UNIQUE,
  image_id TEXT NOT NULL REFERENCES images (id) ON DELETE RESTRICT,
  created_at TEXT NOT NULL
) STRICT;
CREATE INDEX vms_by_image ON vms (image_id);

CREATE TABLE runs (
  id TEXT PRIMARY KEY NOT NULL,
  pid INTEGER NOT NULL,
  host TEXT NOT NULL,
  command TEXT NOT NULL,
  started_at TEXT NOT NULL
) STRICT;

CREATE TABLE operations (
  id TEXT PRIMARY KEY NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('build', 'bootstrap', 'register', 'promote', 'delete', 'rename')),
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
CREATE INDEX operations_running ON operations (run_id) WHERE state = 'running';
CREATE INDEX operations_by_start ON operations (started_at);

CREATE TABLE operation_events (
  id INTEGER PRIMARY KEY,
  operation_id TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
  at TEXT NOT NULL,
  stage TEXT NOT NULL,
  event TEXT NOT NULL CHECK (event IN ('started', 'finished', 'failed', 'note')),
  message TEXT
) STRICT;
CREATE INDEX operation_events_by_operation ON operation_events (operation_id);

CREATE TABLE reservations (
  operation_id TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('name', 'image')),
  key TEXT NOT NULL,
  mode TEXT NOT NULL CHECK (mode IN ('exclusive', 'shared')),
  PRIMARY KEY (operation_id, kind, key)
) STRICT;
CREATE UNIQUE INDEX reserved_names ON reservations (key) WHERE kind = 'name';
CREATE UNIQUE INDEX exclusive_images ON reservations (key) WHERE kind = 'image' AND mode = 'exclusive';

CREATE TABLE lock (
  id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
  epoch INTEGER NOT NULL,
  run_id TEXT,
  acquired_at TEXT
) STRICT;
INSERT INTO lock (id, epoch) VALUES (1, 0);
`;
