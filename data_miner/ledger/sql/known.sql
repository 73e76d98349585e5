-- Known sets: pictures never to mine again.

-- name: find
SELECT path, pictures FROM known_set WHERE digest = %(digest)s

-- name: insert
INSERT INTO known_set (digest, path, pictures) VALUES (%(digest)s, %(path)s, %(pictures)s) ON CONFLICT DO NOTHING

-- name: copy_pictures
COPY known_picture (digest, ordinal, name, phash, shard_offset, size_bytes) FROM STDIN

-- name: pictures
SELECT ordinal AS id, shard_offset, size_bytes FROM known_picture WHERE digest = %(digest)s ORDER BY ordinal

-- name: add_embedding
INSERT INTO known_embedding (digest, model, path) VALUES (%(digest)s, %(model)s, %(path)s) ON CONFLICT DO NOTHING
