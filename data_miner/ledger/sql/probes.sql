-- What a model costs on a kind of GPU: measured once, by whoever is first.

-- name: find
SELECT load_bytes, bytes_per_image, images_per_second FROM model_probe
WHERE digest = %(digest)s AND device = %(device)s

-- name: keep
INSERT INTO model_probe (digest, device, load_bytes, bytes_per_image, images_per_second)
VALUES (%(digest)s, %(device)s, %(load_bytes)s, %(bytes_per_image)s, %(images_per_second)s)
ON CONFLICT (digest, device) DO NOTHING
