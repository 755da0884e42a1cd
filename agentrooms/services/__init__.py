"""What the program runs on: Postgres, Redis, Ray, the data folder, settings, migrations, backups."""
