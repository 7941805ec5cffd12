"""What the generated tenant sells, where, and how it is taxed: the vocabulary that mappings must cover."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Product:
    """A charge of a product. An empty `sku` means that only the product's name can be matched."""

    sku: str
    name: str
    charge: str
    charge_type: str
    #: Price per unit in EUR; other currencies take it times their factor.
    price: Decimal
    unit: str
    accounting_code: str
    deferred_code: str | None = None


SUBSCRIPTION, SERVICES, USAGE = "3010 Subscription Revenue", "3020 Services Revenue", "3030 Usage Revenue"
DISCOUNTS, DEFERRED, WRITE_OFF = "3090 Discounts", "2970 Deferred Revenue", "6351 Bad debt"

PRODUCTS = (
    Product(
        "SKU-ANL-001", "Analytics Cloud", "Annual fee", "Recurring", Decimal("100.00"), "Seat", SUBSCRIPTION, DEFERRED
    ),
    Product("SKU-ANL-002", "Analytics Cloud", "Monthly fee", "Recurring", Decimal("11.95"), "Seat", SUBSCRIPTION),
    Product("SKU-STO-003", "Object Storage", "Capacity", "Usage", Decimal("0.0234"), "GB", USAGE),
    Product("SKU-API-004", "Events API", "Overage", "Usage", Decimal("0.085"), "1000 calls", USAGE),
    Product(
        "SKU-SUP-005", "Premium Support", "Support plan", "Recurring", Decimal("349.00"), "Each", SUBSCRIPTION, DEFERRED
    ),
    Product("SKU-SVC-010", "Onboarding Services", "Fixed fee", "OneTime", Decimal("1450.00"), "Each", SERVICES),
    Product("SKU-TRN-011", "Administrator Training", "Per day", "OneTime", Decimal("980.50"), "Day", SERVICES),
    Product("", "Data Residency", "Regional hosting", "Recurring", Decimal("75.25"), "Region", SUBSCRIPTION),
)
DISCOUNT = Product("SKU-DSC-090", "Loyalty Discount", "Discount", "Recurring", Decimal(0), "Percent", DISCOUNTS)


@dataclass(frozen=True)
class Tax:
    """One tax line. `rate` is a fraction: 0.25 is 25 %."""

    code: str
    name: str
    rate: Decimal
    jurisdiction: str


@dataclass(frozen=True)
class Market:
    """A country in which the tenant bills, with its currency, its price level and its taxes."""

    country: str
    region: str
    currency: str
    #: Price of one EUR's worth, so that amounts look like the country's.
    price_factor: Decimal
    taxes: tuple[Tax, ...]
    cities: tuple[str, ...]
    #: Legal forms that companies carry in their names there.
    forms: tuple[str, ...]


MARKETS = (
    Market(
        "Germany",
        "DE",
        "EUR",
        Decimal(1),
        (Tax("VAT19", "VAT", Decimal("0.19"), "Germany"),),
        ("Hamburg", "Bremen", "Leipzig"),
        ("GmbH", "AG"),
    ),
    Market(
        "France",
        "FR",
        "EUR",
        Decimal(1),
        (Tax("VAT20", "TVA", Decimal("0.20"), "France"),),
        ("Lyon", "Nantes"),
        ("SAS", "SARL"),
    ),
    Market(
        "Finland",
        "FI",
        "EUR",
        Decimal(1),
        (Tax("VAT25", "VAT", Decimal("0.255"), "Finland"),),
        ("Turku", "Tampere"),
        ("Oy",),
    ),
    Market(
        "Sweden",
        "SE",
        "SEK",
        Decimal("11.2"),
        (Tax("VAT25", "Moms", Decimal("0.25"), "Sweden"),),
        ("Uppsala", "Lund", "Kiruna"),
        ("AB",),
    ),
    Market(
        "United States",
        "US",
        "USD",
        Decimal("1.1"),
        (
            Tax("US-STATE", "State sales tax", Decimal("0.0725"), "California"),
            Tax("US-COUNTY", "County sales tax", Decimal("0.01125"), "Alameda County"),
        ),
        ("Oakland", "Fremont"),
        ("Inc.", "LLC"),
    ),
    Market(
        "Switzerland",
        "CH",
        "CHF",
        Decimal("0.95"),
        (Tax("CH81", "MWST", Decimal("0.081"), "Switzerland"),),
        ("Basel", "Zug"),
        ("AG",),
    ),
    Market(
        "United Kingdom",
        "GB",
        "GBP",
        Decimal("0.86"),
        (Tax("GB20", "VAT", Decimal("0.20"), "United Kingdom"),),
        ("Leeds", "York"),
        ("Ltd", "plc"),
    ),
    Market(
        "Japan",
        "JP",
        "JPY",
        Decimal(160),
        (Tax("JP10", "Consumption tax", Decimal("0.10"), "Japan"),),
        ("Osaka", "Sapporo"),
        ("K.K.",),
    ),
    Market("Kuwait", "KW", "KWD", Decimal("0.34"), (), ("Kuwait City",), ("W.L.L.",)),
)

#: Gateway id -> (its number, the currencies it takes; none: all).
GATEWAYS = {
    "2c92c0f85e2d19af015e3a61d8900011": ("PG-00000001", ("EUR", "SEK", "CHF", "GBP")),
    "2c92c0f85e2d19af015e3a61d8900022": ("PG-00000002", ("USD", "JPY", "KWD")),
}

NAME_STARTS = (
    "Nordlicht",
    "Bluewater",
    "Kestrel",
    "Alpine",
    "Juniper",
    "Harbour",
    "Meridian",
    "Copper",
    "Larkfield",
    "Silverbirch",
    "Granite",
    "Tundra",
    "Saffron",
    "Maple",
    "Ostsee",
    "Beacon",
    "Cobalt",
    "Willow",
    "Polar",
    "Quartz",
)
NAME_ENDS = (
    "Logistics",
    "Analytics",
    "Foods",
    "Robotics",
    "Energy",
    "Publishing",
    "Instruments",
    "Textiles",
    "Health",
    "Marine",
    "Software",
    "Aviation",
    "Timber",
    "Optics",
    "Mobility",
    "Ceramics",
    "Insurance",
    "Telecom",
    "Biotech",
    "Studios",
)
PEOPLE = (
    "Eva Lind",
    "Jonas Weber",
    "Amélie Roux",
    "Priya Shah",
    "Mikko Laine",
    "Dana Ortiz",
    "Kenji Sato",
    "Noor Haddad",
)


def market_of(currency: str) -> Market:
    """Return the first market that bills in a currency. Raises KeyError where none does."""
    for market in MARKETS:
        if market.currency == currency:
            return market
    raise KeyError(currency)


def gateway_for(currency: str) -> str:
    """Return the id of the gateway that takes a currency."""
    return next((key for key, (_, currencies) in GATEWAYS.items() if currency in currencies), next(iter(GATEWAYS)))
