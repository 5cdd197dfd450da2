"""The only SQL: the schema, migrations, the database threads, and one module per subject."""
