-- name: create_run
-- A new run, with the line that lists show of it.
INSERT INTO runs (id, project, command, status, parent, created, summary)
VALUES (:id, :project, :command, :status, :parent, :created, :summary);

-- name: add_event
-- The primary key refuses a second writer of the same number.
INSERT INTO events (run, sequence, kind, data) VALUES (:run, :sequence, :kind, :data);

-- name: update_run
-- The line follows the events, in the same transaction.
UPDATE runs SET status = :status, summary = :summary WHERE id = :id;

-- name: history
-- The events of a run after a number, in order.
SELECT data FROM events WHERE run = :run AND sequence > :after ORDER BY sequence;

-- name: summaries
-- The lines of runs, newest first; an empty filter lets everything pass.
SELECT id, summary FROM runs
WHERE (:statuses = '[]' OR status IN (SELECT value FROM json_each(:statuses)))
  AND (:project = '' OR project = :project)
  AND (:children OR parent = '')
ORDER BY created DESC, id
LIMIT :limit;

-- name: find
-- Ids by their beginning; the range can use the primary key.
SELECT id FROM runs WHERE id >= :prefix AND id < :prefix || 'g' ORDER BY id LIMIT 10;

-- name: forget
-- A run and all runs inside it; their events go with them.
WITH RECURSIVE family (id) AS (
    SELECT :id UNION SELECT runs.id FROM runs JOIN family ON runs.parent = family.id
)
DELETE FROM runs WHERE id IN (SELECT id FROM family);

-- name: pins
-- What a person trusted of a project.
SELECT file, digest FROM pins WHERE project = :project;

-- name: unpin
-- Before a project is pinned anew.
DELETE FROM pins WHERE project = :project;

-- name: pin
-- One trusted file.
INSERT INTO pins (project, file, digest) VALUES (:project, :file, :digest);
