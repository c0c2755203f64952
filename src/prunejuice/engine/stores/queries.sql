-- name: create_run
-- Insert a new run with its summary.
INSERT INTO runs (id, project, command, status, parent, created, summary)
VALUES (:id, :project, :command, :status, :parent, :created, :summary);

-- name: add_event
-- The primary key rejects a second event with the same number.
INSERT INTO events (run, sequence, kind, data) VALUES (:run, :sequence, :kind, :data);

-- name: update_run
-- Update the summary in the transaction that adds the events.
UPDATE runs SET status = :status, summary = :summary WHERE id = :id;

-- name: history
-- Select the events of a run after a number, in order.
SELECT data FROM events WHERE run = :run AND sequence > :after ORDER BY sequence;

-- name: summaries
-- Select run summaries, newest first; an empty filter matches every run.
SELECT id, summary FROM runs
WHERE (:statuses = '[]' OR status IN (SELECT value FROM json_each(:statuses)))
  AND (:project = '' OR project = :project)
  AND (:children OR parent = '')
ORDER BY created DESC, id
LIMIT :limit;

-- name: find
-- Select ids by prefix; unlike LIKE, the range uses the primary key. Ids are hexadecimal.
SELECT id FROM runs WHERE id >= :prefix AND id < :prefix || 'g' ORDER BY id LIMIT 10;

-- name: forget
-- Delete a run and all its nested runs; the foreign key deletes their events.
WITH RECURSIVE family (id) AS (
    SELECT :id UNION SELECT runs.id FROM runs JOIN family ON runs.parent = family.id
)
DELETE FROM runs WHERE id IN (SELECT id FROM family);

-- name: pins
-- Select the trusted files of a project.
SELECT file, digest FROM pins WHERE project = :project;

-- name: unpin
-- Delete the trusted files of a project, before new ones are inserted.
DELETE FROM pins WHERE project = :project;

-- name: pin
-- Insert one trusted file.
INSERT INTO pins (project, file, digest) VALUES (:project, :file, :digest);

-- name: all_run_ids
SELECT id FROM runs;
