"""What is read elsewhere than on the pages: a terminal, a pull request, a CI engine."""
