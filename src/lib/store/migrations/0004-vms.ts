/** Runs of VMs, what they reserve, and how long images took to boot. */
export const vms = `
CREATE TABLE operations_new (
  id TEXT PRIMARY KEY NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN (
    'build', 'bootstrap', 'register', 'promote', 'delete', 'rename', 'rollback', 'prune', 'protect', 'unprotect',
    'restore', 'empty', 'verify', 'vm_create', 'vm_run', 'vm_delete'
  )),
  state TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'cancelled', 'interrupted')),
  run_id TEXT NOT NULL,
  pid INTEGER NOT NULL,
  host TEXT NOT NULL,
  command TEXT NOT NULL,
  image_id TEXT NOT NULL,
  image_name TEXT NOT NULL,
  vm_id TEXT,
  vm_name TEXT,
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
  CHECK ((state = 'running') = (finished_at IS NULL)),
  CHECK ((vm_id IS NULL) = (vm_name IS NULL))
) STRICT;
INSERT INTO operations_new SELECT
  id, kind, state, run_id, pid, host, command, image_id, image_name, NULL, NULL, stage, stage_started_at, stage_dir,
  artifact_dir, planned_image, log_path, error, cancel_requested_at, started_at, finished_at
FROM operations;
DROP TABLE operations;
ALTER TABLE operations_new RENAME TO operations;
CREATE INDEX operations_running ON operations (run_id) WHERE state = 'running';
CREATE INDEX operations_by_start ON operations (started_at);
CREATE INDEX operations_by_image ON operations (image_id);

CREATE TABLE reservations_new (
  operation_id TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('name', 'image', 'vm_name', 'vm')),
  key TEXT NOT NULL,
  mode TEXT NOT NULL CHECK (mode IN ('exclusive', 'shared')),
  PRIMARY KEY (operation_id, kind, key)
) STRICT;
INSERT INTO reservations_new SELECT operation_id, kind, key, mode FROM reservations;
DROP TABLE reservations;
ALTER TABLE reservations_new RENAME TO reservations;
CREATE UNIQUE INDEX reserved_names ON reservations (key) WHERE kind = 'name';
CREATE UNIQUE INDEX exclusive_images ON reservations (key) WHERE kind = 'image' AND mode = 'exclusive';
CREATE UNIQUE INDEX reserved_vm_names ON reservations (key) WHERE kind = 'vm_name';
CREATE UNIQUE INDEX exclusive_vms ON reservations (key) WHERE kind = 'vm' AND mode = 'exclusive';

ALTER TABLE vms ADD COLUMN ssh_port INTEGER CHECK (ssh_port BETWEEN 1 AND 65535);
ALTER TABLE vms ADD COLUMN has_work_disk INTEGER NOT NULL DEFAULT 0 CHECK (has_work_disk IN (0, 1));

CREATE TABLE boots (
  id INTEGER PRIMARY KEY,
  image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
  at TEXT NOT NULL,
  vmm TEXT NOT NULL,
  accelerator TEXT NOT NULL,
  memory_bytes INTEGER NOT NULL CHECK (memory_bytes > 0),
  cpus INTEGER NOT NULL CHECK (cpus > 0),
  kernel_ms INTEGER NOT NULL CHECK (kernel_ms >= 0),
  initrd_ms INTEGER CHECK (initrd_ms >= 0),
  userspace_ms INTEGER NOT NULL CHECK (userspace_ms >= 0),
  passed INTEGER NOT NULL CHECK (passed IN (0, 1))
) STRICT;
CREATE INDEX boots_by_image ON boots (image_id);
`;
