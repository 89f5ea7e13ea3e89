-- Spread by multiplication with primes: no random(), so every machine has the same rows.
INSERT INTO customers
SELECT n, 'Customer ' || n, (ARRAY['north', 'east', 'south', 'west'])[1 + (n % 4)::int]
FROM generate_series(1::bigint, 5000) n;

INSERT INTO products
SELECT n, 1 + n % 20, 'Product ' || n, repeat('Well made, long lived, easy to mend. ', 4), 100 + n * 7919 % 20000, n * 31 % 500
FROM generate_series(1::bigint, 20000) n;

INSERT INTO reviews
SELECT n, 1 + n * 7919 % 20000, 1 + n * 31 % 5, timestamptz '2026-01-01' + n * interval '1 minute', repeat('Would buy again. ', 3)
FROM generate_series(1::bigint, 200000) n;

INSERT INTO orders (customer_id, status, cents, created_at, note)
SELECT 1 + n * 7919 % 5000, 'paid', 1000 + n % 5000, timestamptz '2026-01-01' + n * interval '1 minute', repeat('Leave it at the door. ', 2)
FROM generate_series(1::bigint, 200000) n;

INSERT INTO order_items
SELECT 1 + n / 2, 1 + n * 104729 % 20000, 1 + n % 3, 100 + n % 900
FROM generate_series(0::bigint, 399999) n;

INSERT INTO events (kind, subject_id, value, created_at, received_at)
SELECT (ARRAY['view', 'click', 'scroll', 'search'])[1 + (n % 4)::int], n * 7919 % 20000, n % 1000,
       timestamptz '2026-01-01' + n * interval '1 second', timestamptz '2026-01-01' + n * interval '1 second'
FROM generate_series(1::bigint, 50000) n;
