"""The paper's tables and figures, and any rows of recipes compared over seeds."""
