"""A look at this installation: what is here, what will be used and why, what is wrong or slow."""

from .examination import examine
from .page import render
from .report import Finding, KindReport, Machine, ModelReport, Report

__all__ = ["Finding", "KindReport", "Machine", "ModelReport", "Report", "examine", "render"]
