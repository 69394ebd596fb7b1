"""The verb restore: puts archived rows back into tables, with the values and types that they had."""
