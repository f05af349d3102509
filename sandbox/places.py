"""Points on the map, places with a name, contacts: from parameters to the fields of a message.

Source: https://core.telegram.org/bots/api#location
"""

from sandbox.errors import bad_request
from sandbox.model import Json
from sandbox.params import Params


def location_of(params: Params) -> Json:
    """Return a message's `location`.

    Raises:
        ApiError: it is no point on earth.
    """
    try:
        latitude, longitude = float(params.text("latitude")), float(params.text("longitude"))
    except ValueError as error:
        raise bad_request("latitude and longitude must be numbers") from error
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise bad_request("wrong latitude or longitude")
    return {"location": {"latitude": latitude, "longitude": longitude}}


def venue_of(params: Params) -> Json:
    """Return a message's `venue`, and its `location`.

    Raises:
        ApiError: it has no title or address, or is nowhere on earth.
    """
    title, address = params.text("title"), params.text("address")
    if not title or not address:
        raise bad_request("title must be non-empty" if not title else "address must be non-empty")
    where = location_of(params)
    return {**where, "venue": {**where, "title": title, "address": address}}


def contact_of(params: Params) -> Json:
    """Return a message's `contact`.

    Raises:
        ApiError: it has no number or no name.
    """
    contact = {name: params.text(name) for name in ("phone_number", "first_name", "last_name", "vcard")}
    if not contact["phone_number"] or not contact["first_name"]:
        raise bad_request("contact must have a phone number and a first name")
    return {"contact": {name: value for name, value in contact.items() if value}}
