"""Adapters between the product and the carriers; none of them knows the database."""
