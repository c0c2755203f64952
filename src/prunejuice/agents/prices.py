"""The cost of tokens, from the price list in the package `genai-prices`; nothing is downloaded."""


def cost(models: str, read: int, written: int = 0, cached: int = 0) -> float | None:
    """Return the cost of tokens in US dollars; None if a price is unknown.

    `models` is `provider:name` or a name. For several names, separated by commas, the highest cost counts.
    """
    costs = [_model_cost(model.strip(), read, written, cached) for model in models.split(",")]
    known_costs = [cost for cost in costs if cost is not None]
    return max(known_costs) if known_costs and len(known_costs) == len(costs) else None


def _model_cost(model: str, read: int, written: int, cached: int) -> float | None:
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - loaded only when a price is needed

    provider, colon, name = model.partition(":")
    usage = Usage(input_tokens=read, output_tokens=written, cache_read_tokens=cached or None)
    try:
        price = calc_price(
            usage, model_ref=name if colon else model, provider_id=provider if colon else None
        )
    except (LookupError, ValueError):  # an unknown model or provider
        return None
    return float(price.total_price)
