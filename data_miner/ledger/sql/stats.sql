-- Telemetry of batches.

-- name: record
INSERT INTO batch_stat (job_id, project_id, stage, worker_id, device, items, size_bytes, seconds)
VALUES (%(job_id)s, %(project_id)s, %(stage)s, %(worker_id)s, %(device)s, %(items)s, %(size_bytes)s, %(seconds)s)
