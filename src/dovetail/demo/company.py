"""The company: a shop for outdoor and home goods with customers in twelve countries.

Every value comes from one seeded generator through :meth:`random.Random.random` alone, whose
sequence Python guarantees across versions, so everybody sees the same company.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate

SEED = 20260105
VERSION = 1  # counts up when the company changes, so that an old folder is made anew

CUSTOMERS = 5_000
PRODUCTS = 240
ORDERS = 100_000
FIRST_DAY = date(2024, 1, 1)
DAYS = 731  # two years, one of them a leap year

_COUNTRIES = {
    "Germany": ("EUR", 20),
    "France": ("EUR", 15),
    "Netherlands": ("EUR", 9),
    "Spain": ("EUR", 8),
    "Italy": ("EUR", 8),
    "Austria": ("EUR", 5),
    "United Kingdom": ("GBP", 13),
    "Switzerland": ("CHF", 6),
    "Poland": ("PLN", 6),
    "Sweden": ("SEK", 4),
    "Denmark": ("DKK", 3),
    "Norway": ("NOK", 3),
}
_RATES = {"EUR": 1.0, "GBP": 1.17, "CHF": 1.06, "PLN": 0.23, "SEK": 0.088, "DKK": 0.134}
_RATES["NOK"] = 0.086
_SEGMENTS = {"consumer": 78, "business": 17, "school": 5}
_CATEGORIES = {
    "Camping": ("Tent", "Sleeping bag", "Stove", "Headlamp", "Camp chair", "Cool box"),
    "Cycling": ("Helmet", "Pannier", "Bike light", "Pump", "Lock", "Gloves"),
    "Climbing": ("Rope", "Harness", "Chalk bag", "Karabiner", "Shoes", "Crash pad"),
    "Kitchen": ("Knife", "Pan", "Kettle", "Mug", "Scales", "Apron"),
    "Garden": ("Spade", "Hose", "Planter", "Shears", "Lantern", "Bench"),
}
_LINES = ("Alta", "Breeze", "Cairn", "Drift", "Ember", "Fjord", "Grove", "Harbour")
_FIRST = (  # noqa: SIM905 - names read better in a row than in a column
    "Ana Ben Chloé Dario Elif Finn Greta Hugo Ines Jakub Karin Liam Maja Noah Olga Pavel Quinn "
    "Rosa Søren Tess Uma Viktor Wanda Xaver Yara Zoë"
).split()
_LAST = (  # noqa: SIM905
    "Almeida Becker Claes Dubois Eriksen Fischer García Hansen Ivanova Jansen Kowalski Lindqvist "
    "Moreau Novak O'Brien Petit Quist Rossi Schäfer Torres Ullmann Visser Weber Young Zimmermann"
).split()
_CARRIERS = {"Northpost": 45, "Parcelo": 35, "Swiftline": 20}
_REASONS = {"too small": 26, "too large": 22, "damaged": 17, "changed my mind": 25, "late": 10}


@dataclass(frozen=True)
class Company:
    """All rows, as tuples in the order of the columns that :data:`COLUMNS` names."""

    customers: list[tuple[int, str, str, str, str, date]]
    products: list[tuple[int, str, str, Decimal, Decimal]]
    rates: list[tuple[str, date, float]]
    orders: list[tuple[int, int, int, date, int, Decimal, str, str]]
    shipments: list[tuple[int, int, str, date, date | None, float]]
    returns: list[tuple[int, int, date, str, Decimal]]


COLUMNS = {
    "customers": ("customer_id", "name", "email", "country", "segment", "since"),
    "products": ("product_id", "product", "category", "cost", "price"),
    "rates": ("currency", "month", "rate_to_eur"),
    "orders": (
        "order_id",
        "customer_id",
        "product_id",
        "ordered_on",
        "quantity",
        "unit_price",
        "currency",
        "status",
    ),
    "shipments": ("shipment_id", "order_id", "carrier", "shipped_on", "delivered_on", "weight_kg"),
    "returns": ("return_id", "order_id", "returned_on", "reason", "refund"),
}


class _Dice:
    """Draws on ``random()`` alone: its sequence is the one thing Python promises to keep."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).random  # noqa: S311 - invented data, not secrets

    def below(self, count: int) -> int:
        """A whole number from 0 to ``count - 1``."""
        return int(self.random() * count)

    def one_of(self, values: Sequence[str], running: Sequence[int]) -> str:
        """One of ``values``; ``running`` holds the running sums of their weights."""
        place = self.random() * running[-1]
        return next(v for v, upto in zip(values, running, strict=True) if place < upto)


def make_company() -> Company:
    """Make the company; takes about a second."""
    dice = _Dice(SEED)
    customers = _customers(dice)
    products = _products(dice)
    rates = _rates(dice)
    by_month = {(currency, month): rate for currency, month, rate in rates}
    orders = _orders(dice, customers, products, by_month)
    shipments = _shipments(dice, orders)
    returns = _returns(dice, shipments, orders)
    return Company(customers, products, rates, orders, shipments, returns)


def _weighted(weights: dict[str, int]) -> tuple[list[str], list[int]]:
    return list(weights), list(accumulate(weights.values()))


def _customers(dice: _Dice) -> list[tuple[int, str, str, str, str, date]]:
    countries = _weighted({name: weight for name, (_, weight) in _COUNTRIES.items()})
    segments = _weighted(_SEGMENTS)
    rows = []
    for number in range(1, CUSTOMERS + 1):
        first, last = _FIRST[dice.below(len(_FIRST))], _LAST[dice.below(len(_LAST))]
        rows.append(
            (
                number,
                f"{first} {last}",
                f"customer{number}@example.com",
                dice.one_of(*countries),
                dice.one_of(*segments),
                FIRST_DAY - timedelta(days=dice.below(1500)),
            )
        )
    return rows


def _products(dice: _Dice) -> list[tuple[int, str, str, Decimal, Decimal]]:
    kinds = [(kind, category) for category, kinds in _CATEGORIES.items() for kind in kinds]
    rows = []
    for number in range(1, PRODUCTS + 1):
        kind, category = kinds[(number - 1) % len(kinds)]
        cost = Decimal(300 + dice.below(12_000)).scaleb(-2)
        price = (cost * (130 + dice.below(90)) / 100).quantize(Decimal("0.01"))
        rows.append((number, f"{kind} {_LINES[(number - 1) // len(kinds)]}", category, cost, price))
    return rows


def _rates(dice: _Dice) -> list[tuple[str, date, float]]:
    rows = []
    for currency, start in _RATES.items():
        rate = start
        for month in range(24):
            first = date(FIRST_DAY.year + month // 12, month % 12 + 1, 1)
            rows.append((currency, first, round(rate, 5)))
            if currency != "EUR":
                rate *= 0.985 + 0.03 * dice.random()
    return rows


def _orders(
    dice: _Dice,
    customers: Sequence[tuple[int, str, str, str, str, date]],
    products: Sequence[tuple[int, str, str, Decimal, Decimal]],
    rates: dict[tuple[str, date], float],
) -> list[tuple[int, int, int, date, int, Decimal, str, str]]:
    rows: list[tuple[int, int, int, date, int, Decimal, str, str]] = []
    for number in range(1, ORDERS + 1):
        # Squaring favours the first customers and products: a few of them make most of the trade.
        customer = customers[int(dice.random() ** 2 * len(customers))]
        product = products[int(dice.random() ** 1.5 * len(products))]
        day = FIRST_DAY + timedelta(days=(number - 1) * DAYS // ORDERS)
        currency = _COUNTRIES[customer[3]][0]
        rate = rates[currency, day.replace(day=1)]
        # Prices are set in euros and written in the customer's currency.
        price = Decimal(round(float(product[4]) / rate * 100)).scaleb(-2)
        quantity = 1 + int(dice.random() ** 3 * (12 if customer[4] == "business" else 4))
        chance = dice.random()
        status = "cancelled" if chance < 0.03 else "open" if number > ORDERS - 900 else "done"
        rows.append((number, customer[0], product[0], day, quantity, price, currency, status))
    return rows


def _shipments(
    dice: _Dice, orders: Sequence[tuple[int, int, int, date, int, Decimal, str, str]]
) -> list[tuple[int, int, str, date, date | None, float]]:
    carriers = _weighted(_CARRIERS)
    slowness = {"Northpost": 5, "Parcelo": 4, "Swiftline": 2}
    rows: list[tuple[int, int, str, date, date | None, float]] = []
    for order in orders:
        if order[7] != "done":
            continue
        carrier = dice.one_of(*carriers)
        shipped = order[3] + timedelta(days=dice.below(3))
        delivered = shipped + timedelta(days=1 + dice.below(slowness[carrier]))
        lost = dice.random() < 0.002
        weight = round(0.2 + dice.random() * 4 * order[4], 2)
        rows.append(
            (len(rows) + 1, order[0], carrier, shipped, None if lost else delivered, weight)
        )
    return rows


def _returns(
    dice: _Dice,
    shipments: Sequence[tuple[int, int, str, date, date | None, float]],
    orders: Sequence[tuple[int, int, int, date, int, Decimal, str, str]],
) -> list[tuple[int, int, date, str, Decimal]]:
    reasons = _weighted(_REASONS)
    rows: list[tuple[int, int, date, str, Decimal]] = []
    for shipment in shipments:
        if shipment[4] is None or dice.random() >= 0.07:
            continue
        order = orders[shipment[1] - 1]
        day = shipment[4] + timedelta(days=2 + dice.below(20))
        refund = order[5] * order[4]
        rows.append((len(rows) + 1, order[0], day, dice.one_of(*reasons), refund))
    return rows
