"""Tests of the suite itself: does the instrument measure right?

A folder has the name of the package that it is about: ``parity/records`` is tried in ``records``,
``fixtures/images`` in ``images``, ``reports`` in ``reports``. Modules of ``parity`` and of ``fixtures``
that are no packages share one: ``yardstick`` has those of the comparison itself. Three are about no
package but about what reaches all of them: ``docs`` holds the documents to what is there, ``hostile``
hands each command files made to do harm, ``machine`` kills and starves it. What several tests share
lies in ``support`` and, where it is a fixture, in the ``conftest.py`` of their folder.
"""
