"""tools/reproduce.py lists jobs, reports on finished ones, and names what is wrong in one line."""

import pytest
from finished_jobs import finish_jobs
from tiny_plan import write_plan
from tool_process import run_tool

from epsanet_cli.commands.reproduce import add_arguments
from epsanet_cli.parser import CommandParser
from epsanet_mmdet.experiments import prepare_plan
from epsanet_mmdet.experiments.command import reproduce


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['small-data', '--seeds', '1', '1'], 'twice'),
        (['coco-minimal', '--data-root', 'absent'], "'absent"),
        (['coco-minimal', '--only', 'senet'], "did you mean 'senet50'?"),
    ],
    ids=' '.join,
)
def test_what_is_wrong_is_named_in_one_line(arguments, words, tmp_path):
    process = run_tool('reproduce.py', *arguments, cwd=tmp_path)
    assert process.returncode == 1
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith('error: ') and words in last
    assert 'Traceback' not in process.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('text', ['0', '-1', 'nan', 'inf', 'soon'])
def test_minutes_are_a_positive_time(text, capsys):
    parser = CommandParser()
    add_arguments(parser)
    assert parser.parse_args(['plan', '--minutes', '0.5']).minutes == 0.5
    with pytest.raises(SystemExit):
        parser.parse_args(['plan', f'--minutes={text}'])
    assert text in capsys.readouterr().err


def test_a_dry_run_lists_the_jobs_and_starts_none(tmp_path, capsys):
    plan = write_plan(tmp_path / 'p', seeds=[0, 1])
    assert reproduce(str(plan), str(tmp_path / 'work'), dry_run=True) == 0
    output = capsys.readouterr().out
    assert output.count('to do') >= 4 and 'GB' in output
    assert not list((tmp_path / 'work').iterdir())


def test_only_the_named_variants_are_jobs(tmp_path, capsys):
    plan = write_plan(tmp_path / 'p', seeds=[0, 1])
    assert reproduce(str(plan), str(tmp_path / 'work'), dry_run=True, only=['senet']) == 0
    jobs = [line for line in capsys.readouterr().out.splitlines() if line.startswith('job ')]
    assert [job.split(' (')[1].split(',')[0] for job in jobs] == ['senet'] * 2


def test_report_only_writes_the_tables_of_finished_jobs(tmp_path, capsys):
    plan = write_plan(tmp_path / 'p', seeds=[0, 1])
    prepared = prepare_plan(str(plan), str(tmp_path / 'work'))
    finish_jobs(prepared)
    (prepared.jobs[0].folder / 'result.json').unlink()
    assert reproduce(str(plan), str(tmp_path / 'work'), report_only=True) == 0
    assert '3 of 4 jobs done' in capsys.readouterr().out


def test_without_the_detections_the_page_has_the_tables(tmp_path):
    plan = write_plan(tmp_path / 'p')
    prepared = prepare_plan(str(plan), str(tmp_path / 'work'))
    finish_jobs(prepared)
    for path in (tmp_path / 'work').glob('*/seed*/test/results.*.json'):
        path.unlink()
    assert reproduce(str(plan), str(tmp_path / 'work'), report_only=True) == 0
    page = (tmp_path / 'work' / 'report.html').read_text(encoding='utf-8')
    assert 'id="results"' in page and 'Jobs' in page and 'worst first' not in page
