"""The queries of the demo."""

from __future__ import annotations

# Which countries bring in the most with camping goods, how long they wait for their parcels, and
# how much of it comes back. Five files of five kinds.
TOUR_QUERY = """\
select c.country,
       count(*)                                                         as orders,
       round(sum(o.quantity * o.unit_price * x.rate_to_eur), 2)         as revenue_eur,
       round(avg(date_diff('day', o.ordered_on, s.delivered_on)), 2)    as days_to_door,
       round(100 * count(r.return_id) / count(*), 2)                    as returned_pct
from shop.orders o                                   -- DuckDB
join crm.customers c using (customer_id)             -- SQLite
join exports.products p using (product_id)           -- CSV
join exports.exchange_rates x                        -- CSV
  on x.currency = o.currency and x.month = date_trunc('month', o.ordered_on)
join exports.shipments s using (order_id)            -- Parquet
left join exports.returns r using (order_id)         -- JSON lines
where p.category = 'Camping' and o.ordered_on >= date '2025-01-01'
group by c.country
order by revenue_eur desc"""

# The same question with the orders on PostgreSQL and the customers on MariaDB or MySQL.
SERVER_QUERY = TOUR_QUERY.replace(
    "shop.orders o                                   -- DuckDB",
    "shop_pg.orders o                                -- PostgreSQL",
).replace(
    "crm.customers c using (customer_id)             -- SQLite",
    "crm_my.customers c using (customer_id)          -- MariaDB or MySQL",
)

NEXT_STEPS = (
    ("What is there?", "dovetail tables"),
    ("What is in a table?", "dovetail describe shop.orders"),
    (
        "A query of your own",
        'dovetail query "select category, count(*) as products from exports.products group by all"',
    ),
    (
        "Who does what, and what it cost",
        'dovetail explain --analyze "select count(*) as orders from shop.orders '
        "where status = 'open'\"",
    ),
    (
        "Into a file",
        'dovetail query -o big.parquet "select * from shop.orders where quantity > 5"',
    ),
    ("A file without a source", "dovetail query \"select count(*) as n from 'big.parquet'\""),
)
