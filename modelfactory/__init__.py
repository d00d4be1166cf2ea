"""modelfactory: dbt for fleets of models.

A project is data, a plan is data, a version is data; only `modelfactory.spark` touches Spark.
"""

__version__ = "0.1.0"
