"""`python -m auditor` is `medaudit`."""

from auditor.cli.main import main

main()
