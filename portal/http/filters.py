"""Filters of lists. A thing is named by its id, whether or not there is such a thing."""

from django.db import models
from django_filters import rest_framework as library


class FilterSet(library.FilterSet):
    """The library would look a named thing up, and so tell anybody whether its id exists in another tenant."""

    FILTER_DEFAULTS = {**library.FilterSet.FILTER_DEFAULTS, models.ForeignKey: {"filter_class": library.UUIDFilter}}


class FilterBackend(library.DjangoFilterBackend):
    filterset_base = FilterSet
