"""Where results go: into a checkout's own folder, and never beside an installed package."""

from dinov3_parity.fixtures.host.checkout import ROOT, results


def test_in_a_checkout_results_go_into_its_reports():
    assert results() == ROOT / "reports" / "out"


def test_beside_an_installed_suite_results_go_into_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert results(tmp_path / "site-packages") == tmp_path / "dinov3-parity-reports"
