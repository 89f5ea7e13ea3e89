CREATE TABLE customers (
    id     bigint NOT NULL,
    name   text   NOT NULL,
    region text   NOT NULL
);
CREATE TABLE products (
    id          bigint NOT NULL,
    category_id bigint NOT NULL,
    name        text   NOT NULL,
    description text   NOT NULL,
    cents       bigint NOT NULL,
    stock       bigint NOT NULL
);
CREATE TABLE reviews (
    id         bigint      NOT NULL,
    product_id bigint      NOT NULL,
    rating     smallint    NOT NULL,
    created_at timestamptz NOT NULL,
    body       text        NOT NULL
);
CREATE TABLE orders (
    id          bigserial   NOT NULL,
    customer_id bigint      NOT NULL,
    status      text        NOT NULL,
    cents       bigint      NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    note        text        NOT NULL
);
CREATE TABLE order_items (
    order_id   bigint NOT NULL,
    product_id bigint NOT NULL,
    quantity   bigint NOT NULL,
    cents      bigint NOT NULL
);
CREATE TABLE payments (
    id         bigserial   NOT NULL,
    order_id   bigint      NOT NULL,
    cents      bigint      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE events (
    id          bigserial        NOT NULL,
    kind        text             NOT NULL,
    subject_id  bigint           NOT NULL,
    value       double precision NOT NULL,
    created_at  timestamptz      NOT NULL DEFAULT clock_timestamp(),
    received_at timestamptz      NOT NULL DEFAULT clock_timestamp()
);
