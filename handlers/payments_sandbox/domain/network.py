"""What issuers answer: ISO 8583 response codes, decline codes, AVS and CVC results.

Source: ISO 8583 field 39 as used by Visa and Mastercard; Visa's "category 1" codes for what must never be retried.
Where networks differ, or name no code for a decline (`authentication_required`, `incorrect_cvc`, `incorrect_zip`, ...),
the choice is the sandbox's own.
"""

from dataclasses import dataclass
from typing import Final

from payments_sandbox.domain.entry_kinds import ENTRY_KINDS

APPROVED: Final = "00"

RESPONSE_CODES: Final[dict[str, tuple[str, str]]] = {
    "01": ("call_issuer", "Refer to card issuer"),
    "03": ("not_permitted", "Invalid merchant"),
    "04": ("pickup_card", "Pick up card"),
    "05": ("do_not_honor", "Do not honor"),
    "06": ("processing_error", "Error"),
    "07": ("pickup_card", "Pick up card, special condition"),
    "12": ("not_permitted", "Invalid transaction"),
    "13": ("invalid_amount", "Invalid amount"),
    "14": ("incorrect_number", "Invalid card number"),
    "15": ("invalid_account", "No such issuer"),
    "19": ("reenter_transaction", "Re-enter transaction"),
    "30": ("processing_error", "Format error"),
    "34": ("fraudulent", "Suspected fraud"),
    "41": ("lost_card", "Lost card, pick up"),
    "43": ("stolen_card", "Stolen card, pick up"),
    "46": ("invalid_account", "Closed account"),
    "51": ("insufficient_funds", "Insufficient funds"),
    "54": ("expired_card", "Expired card"),
    "57": ("not_permitted", "Transaction not permitted to cardholder"),
    "58": ("not_permitted", "Transaction not permitted to terminal"),
    "59": ("fraudulent", "Suspected fraud"),
    "61": ("withdrawal_count_limit_exceeded", "Exceeds amount limit"),
    "62": ("restricted_card", "Restricted card"),
    "63": ("security_violation", "Security violation"),
    "65": ("card_velocity_exceeded", "Exceeds frequency limit"),
    "75": ("restricted_card", "PIN tries exceeded"),
    "78": ("restricted_card", "Blocked, first use"),
    "91": ("issuer_not_available", "Issuer unavailable"),
    "93": ("not_permitted", "Cannot be completed, violation of law"),
    "94": ("duplicate_transaction", "Duplicate transmission"),
    "96": ("processing_error", "System malfunction"),
    "R1": ("revocation_of_authorization", "Revocation of authorization"),
    "R3": ("revocation_of_authorization", "Revocation of all authorizations"),
}
"""Response code to the decline code that it means, and its name. `00` and `10` are no declines and not in the table."""

NEVER_RETRY: Final = frozenset({"04", "07", "12", "14", "15", "41", "43", "46", "57", "R1", "R3"})
"""Visa category 1: the issuer will never approve; trying again is forbidden and fined."""

DECLINE_CODES: Final[dict[str, tuple[str, str]]] = {
    "approve_with_id": (
        "01",
        "The issuer wants to be called; try again once it has identified the cardholder.",
    ),
    "authentication_required": ("65", "The issuer wants the cardholder to be authenticated first."),
    "call_issuer": ("01", "The issuer declined without a reason; the cardholder should call it."),
    "card_not_supported": ("57", "The card does not support this kind of purchase."),
    "card_velocity_exceeded": (
        "65",
        "The cardholder has exceeded the number of uses that the issuer allows.",
    ),
    "currency_not_supported": ("12", "The card does not support this currency."),
    "do_not_honor": ("05", "The issuer declined without a reason."),
    "duplicate_transaction": ("94", "A transaction with the same details was sent a moment ago."),
    "expired_card": ("54", "The card has expired."),
    "fraudulent": ("59", "The payment is suspected of fraud."),
    "generic_decline": ("05", "The card was declined for an unknown reason."),
    "incorrect_cvc": ("05", "The card's security code is wrong."),
    "incorrect_number": ("14", "The card number is wrong."),
    "incorrect_zip": ("05", "The postal code is wrong."),
    "insufficient_funds": ("51", "The card has not enough funds."),
    "invalid_account": ("15", "The card, or the account behind it, does not exist."),
    "invalid_amount": ("13", "The amount is invalid or more than is allowed."),
    "issuer_not_available": ("91", "The issuer could not be reached."),
    "lost_card": ("41", "The card was reported lost."),
    "new_account_information_available": ("05", "The card, or the account behind it, has changed."),
    "not_permitted": ("57", "The payment is not permitted."),
    "pickup_card": ("04", "The card cannot be used; it may have been reported lost or stolen."),
    "processing_error": ("96", "An error occurred while the card was processed."),
    "reenter_transaction": ("19", "The issuer could not process the payment; send it again."),
    "restricted_card": ("62", "The card cannot be used for this payment."),
    "revocation_of_authorization": ("R1", "The cardholder has revoked the agreement to pay."),
    "security_violation": ("63", "The issuer declined for a security violation."),
    "stolen_card": ("43", "The card was reported stolen."),
    "try_again_later": ("91", "The issuer declined for a passing reason."),
    "withdrawal_count_limit_exceeded": ("61", "The amount is more than the card's limit allows."),
}
"""Decline code to the response code that it is sent with, and its message for people."""

MESSAGE_TYPES: Final = {
    kind.name: kind.message_type for kind in ENTRY_KINDS.values() if kind.message_type is not None
}
"""Kind of a transaction to the ISO 8583 message type that asks for it."""

AVS_RESULTS: Final = {
    "Y": "street and postal code match",
    "A": "street matches, postal code does not",
    "Z": "postal code matches, street does not",
    "N": "neither matches",
    "U": "unavailable, or no address was sent",
    "R": "issuer's system unavailable, try again",
    "S": "not supported by the issuer",
    "G": "issued abroad, not supported",
}
CVC_RESULTS: Final = {
    "M": "match",
    "N": "no match",
    "P": "not processed: none was sent",
    "S": "should be on the card, the merchant says it is not",
    "U": "unavailable: the issuer does not check it",
}


@dataclass(frozen=True, slots=True)
class Decline:
    """Why an issuer said no. retry_forbidden: the network fines whoever tries the same card again."""

    decline_code: str
    response_code: str

    @property
    def retry_forbidden(self) -> bool:
        return self.response_code in NEVER_RETRY

    @property
    def message(self) -> str:
        return DECLINE_CODES[self.decline_code][1]


def decline_for(decline_code: str) -> Decline:
    """The decline of this code with its usual response code."""
    return Decline(decline_code, DECLINE_CODES[decline_code][0])


def decline_for_response(response_code: str) -> Decline:
    """The decline that this response code means."""
    return Decline(RESPONSE_CODES[response_code][0], response_code)
