"""The thin click entry point: check first, import the heavy modules last, print what happened."""

from pathlib import Path

import click

from hft import __version__, errors
from hft.options import endpoint_options, machine_choices, settings, several, some_recipe


class Ordered(click.Group):
    """Lists the commands in the order in which they are used; says clearly when the disk is full or not ours to write to."""

    def invoke(self, context):
        try:
            return super().invoke(context)
        except click.ClickException:
            raise
        except Exception as problem:
            if clear := errors.of_disk(problem):
                raise clear from None
            raise

    def list_commands(self, context):
        return list(self.commands)


@click.group(cls=Ordered, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hft")
def cli():
    """Fine-tune language models from named recipes: the same recipe, the same result, on every server.

    \b
    Example: hft check quickstart && hft train quickstart && hft generate quickstart --prompt "..."
    """


@cli.command("list")
def list_recipes():
    """List the recipes, with what each is for.

    Example: hft list
    """
    from hft.catalogue import catalogue, folders

    known = catalogue()
    width = max(map(len, known), default=0)
    for name, path in known.items():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        first = next((line.lstrip("# ").rstrip() for line in lines if line.startswith("#")), "")
        click.echo(f"{name.ljust(width)}  {first}")
    if not known:
        click.echo(f"No recipe in {', '.join(map(str, folders()))}; set HFT_RECIPES to a folder with .yaml files.")


@cli.command()
@click.argument("names", nargs=-1)
@settings
def check(names, overrides):
    """Check recipes (all, without NAMES) and name every mistake; needs no GPU, no data, no network.

    Example: hft check korquad_qlora
    """
    from hft import recipe_file
    from hft.catalogue import catalogue

    failed = []
    for name in names or catalogue():
        try:
            loaded = recipe_file.load(name, overrides)
            click.echo(f"{name}: correct (digest {loaded.digest[:12]})")
        except errors.HftError as problem:
            failed.append(name)
            problem.show()
    if failed:
        raise SystemExit(1)


@cli.command()
@click.argument("name")
@settings
def show(name, overrides):
    """Show every value of recipe NAME with where it was set.

    Example: hft show korquad_qlora --set train.steps=10
    """
    from hft import recipe_file, report

    click.echo(report.values(recipe_file.load(name, overrides)))


@cli.command()
@click.argument("name")
@settings
@machine_choices
def plan(name, overrides, choices):
    """Show how this machine would carry out recipe NAME, and why.

    Example: hft plan korquad_qlora --backend plain
    """
    from hft import plan, recipe_file, report

    click.echo(report.plan(plan.make(recipe_file.load(name, overrides).recipe, **choices)))


@cli.command()
@click.argument("name")
@settings
@click.option("--rows", default=2, show_default=True, help="Rows to preview.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the source's rows to this .csv or .jsonl instead.")
def prepare(name, overrides, rows, out):
    """Read and filter the data of recipe NAME: counts, overlap, and a preview with the trained part marked.

    \b
    Example: hft prepare quickstart --rows 5
             hft prepare medical_2 --out pairs.csv
    """
    from hft import prepare, recipe_file

    loaded = recipe_file.load(name, overrides)
    if out:
        prepare.write(loaded, out)
    else:
        click.echo(prepare.preview(loaded, rows))


@cli.command()
@click.argument("names", metavar="NAME...", nargs=-1)
@settings
@machine_choices
@click.option("--resume/--anew", default=None, help="Go on with the newest unfinished run and leave a finished one as it is, "
              "or train anew. [default: anew for one NAME, resume for several]")
@click.option("--max-steps", type=click.IntRange(min=1), help="Stop after so many steps of the recipe's schedule: a smoke test.")
@click.option("--dry-run", is_flag=True, help="Check recipe and data, show rows, steps and plan; train nothing, write nothing.")
def train(names, overrides, choices, resume, max_steps, dry_run):
    """Train recipe NAME: evaluate, train, evaluate again, export; everything goes to runs/NAME/.

    Several NAMEs are trained in order; the same command again goes on where it stopped.

    \b
    Example: hft train quickstart --max-steps 5
             hft train korquad_tutorial korquad_qlora
    """
    from hft import recipe_file, runs, stages

    some_recipe(names, "train")
    checked = [recipe_file.load(name, overrides) for name in names]  # a mistake in the last shows before the first is trained
    if len(names) > 1:
        resume = resume is not False
        several("train", names, resume=resume, anew=not resume, set=overrides, max_steps=max_steps, dry_run=dry_run, **choices)
    loaded = checked[0]
    unfinished = runs.to_resume(loaded) if resume else None
    if resume and not (unfinished and stages.same(unfinished, stages.find(loaded))):
        if finished := stages.finished(loaded, max_steps):
            click.echo(f"Nothing to train: {finished} is finished. Train anew with --anew.")
            if loaded.recipe.export.formats:
                from hft import run

                run.finish_exports(finished, loaded, choices)
            return
        click.echo("No unfinished run of this recipe: starting a new one.")
    from hft import run

    try:
        run.train(loaded, choices, resume=bool(resume), max_steps=max_steps, dry_run=dry_run)
    except KeyboardInterrupt:
        click.echo(f"Stopped; nothing is lost. Go on with: make train RECIPE={loaded.name} ARGS=--resume", err=True)
        raise SystemExit(130) from None


@cli.command()
@click.argument("targets", metavar="NAME|RUN...", nargs=-1)
@settings
@machine_choices
@click.option("--predictions", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Score this file, KorQuAD's {id: answer} form, on the recipe's held-out rows; loads no model.")
def evaluate(targets, overrides, choices, predictions):
    """Ask finished runs the held-out questions again, or score a prediction file.

    \b
    Example: hft evaluate quickstart
             hft evaluate korquad_qlora --predictions answers.json
    """
    some_recipe(targets, "evaluate")
    target = targets[0]
    if predictions and len(targets) > 1:
        raise click.UsageError("--predictions is scored on one recipe")
    if predictions:
        from hft import recipe_file, report

        click.echo(report.predictions(recipe_file.load(target, overrides), predictions))
        return
    from hft import runs

    if overrides:
        raise click.UsageError("--set belongs to --predictions; a finished run keeps its recipe")
    if len(targets) > 1:
        several("evaluate", targets, **choices)
    folder = runs.find(target)
    from hft import run

    click.echo(run.reevaluate(folder, choices))


@cli.command()
@click.argument("targets", metavar="NAME|RUN...", nargs=-1)
@click.option("--format", "formats", multiple=True, required=True,
              help="adapter, adapter_gguf (for llama.cpp's --lora), merged, merged_4bit, or a GGUF type such as q4_k_m. Repeatable.")
@click.option("--max-drop", type=click.FloatRange(0, 100), help="Points of exact match an export may lose. [default: the recipe's]")
@machine_choices
def export(targets, formats, max_drop, choices):
    """Export finished runs, ask the export the held-out questions, and compare.

    Example: hft export quickstart --format merged --format q4_k_m
    """
    from hft import recipe, runs
    from hft.catalogue import suggest

    for kind in formats:
        if kind not in recipe.FORMATS:
            raise errors.HftError(f"unknown format '{kind}'{suggest(kind, recipe.FORMATS)}", f"choose of: {', '.join(recipe.FORMATS)}")
    some_recipe(targets, "export --format q4_k_m")
    if len(targets) > 1:
        several("export", targets, format=formats, max_drop=max_drop, **choices)
    folder = runs.find(targets[0])
    from hft import run

    run.export_run(folder, list(formats), choices, max_drop)


@cli.command()
@click.argument("target", metavar="NAME|RUN")
@click.option("--format", "formats", multiple=True, default=("adapter",), show_default=True,
              help="What to upload, as made by hft export. Repeatable.")
@click.option("--to", metavar="OWNER/NAME", help="The repository. [default: your own, with the recipe's name]")
@click.option("--public", is_flag=True, help="Let everyone see it. [default: private]")
@click.option("--dry-run", is_flag=True, help="Show the files and the model card; send nothing.")
def push(target, formats, to, public, dry_run):
    """Publish a finished run on the Hugging Face Hub, with a model card from its passport.

    The token comes from HF_TOKEN, `hf auth login` or a mounted file. After a failure the same command goes on.

    \b
    Example: hft push quickstart --dry-run
             hft push korquad_qlora --format q4_k_m --to my-lab/korquad-GGUF
    """
    from hft import push, recipe, runs
    from hft.catalogue import suggest

    for kind in formats:
        if kind not in recipe.FORMATS:
            raise errors.HftError(f"unknown format '{kind}'{suggest(kind, recipe.FORMATS)}", f"choose of: {', '.join(recipe.FORMATS)}")
    push.push(runs.find(target), list(formats), to, public, dry_run)


@cli.command()
@click.argument("target", metavar="NAME|RUN")
@click.option("--prompt", required=True, help="The question or instruction.")
@click.option("--context", default="", help="The passage or input that belongs to it.")
@click.option("--max-new-tokens", type=click.IntRange(min=1), help="Tokens the answer may have. [default: the recipe's]")
@machine_choices
def generate(target, prompt, context, max_new_tokens, choices):
    """Answer a prompt with the base model and with the trained one, side by side.

    Example: hft generate quickstart --context "Lena Horst opened the shop in 1987." --prompt "Who opened the shop?"
    """
    from hft import runs

    if not prompt.strip():
        raise click.UsageError('--prompt is empty; for example: make generate RECIPE=quickstart PROMPT="Who opened the shop?"')
    folder = runs.find(target)
    from hft import run

    click.echo(run.side_by_side(folder, prompt, context, max_new_tokens, choices))


@cli.command("rewards")
@click.argument("name")
@settings
@click.option("--completions", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help='Score this .jsonl instead of the canned ones; each line {"completion": "...", "answer": "..."}.')
def try_rewards(name, overrides, completions):
    """Try the rewards of recipe NAME on canned completions: right, wrong, empty, endless, stuffed; loads no model.

    Example: hft rewards grpo_indonesian
    """
    from hft import recipe_file, trial

    click.echo(trial.table(recipe_file.load(name, overrides), completions))


@cli.group()
def codeio():
    """CodeI/O by a model behind an OpenAI-compatible address: answers with one revision, and plain files to functions.

    Example: hft codeio answer codeio --endpoint http://127.0.0.1:8000/v1 --model qwen --out answers.jsonl
    """


@codeio.command("answer")
@click.argument("name")
@settings
@endpoint_options
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A .jsonl; one that is there goes on.")
@click.option("--turns", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Take the turns from this .jsonl: {id, turn_1, turn_2}.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first questions.")
def codeio_answer(name, overrides, out, turns, limit, **told):
    """Answer the CodeI/O questions of recipe NAME, verify the answers by running the code, and let wrong ones be revised once.

    Example: hft codeio answer codeio --endpoint http://127.0.0.1:8000/v1 --model qwen --out answers.jsonl
    """
    from hft import codeio, recipe_file

    if not (told["address"] or turns):
        raise click.UsageError("--endpoint or --turns says where the answers come from")
    codeio.answer(recipe_file.load(name, overrides), out, codeio.asker(**told) if told["address"] else None, turns, limit)


@codeio.command("unify")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@endpoint_options
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A .jsonl; one that is there goes on.")
def codeio_unify(paths, out, **told):
    """Rewrite plain Python files as functions with an input generator, and keep those that run.

    Example: hft codeio unify *.py --endpoint http://127.0.0.1:8000/v1 --model qwen --out functions.jsonl
    """
    from hft import codeio

    if not told["address"]:
        raise click.UsageError("--endpoint names the server, such as http://127.0.0.1:8000/v1")
    codeio.unify(list(paths), out, codeio.asker(**told))


@cli.command("runs")
@click.argument("name", required=False)
def list_runs(name):
    """List the runs (of recipe NAME), oldest first, with their scores.

    Example: hft runs quickstart
    """
    from hft import report

    click.echo(report.runs_table(name))


@cli.command()
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@click.option("--tolerance", type=click.FloatRange(min=0), help="How far apart the losses of a step may be. [default: 0.02]")
def compare(one, other, tolerance):
    """Say whether runs A and B match: run folders, recipes (their newest runs) or passport files.

    Exit code 0: identical, or a match; 1: they differ.

    Example: hft compare runs/quickstart/20261122T070000-9c6ceeb1c4fe server2/passport.json
    """
    from hft import compare

    (first, facts), (second, others) = compare.passport(one), compare.passport(other)
    found = compare.compare(facts, others, **({"most": tolerance} if tolerance is not None else {}))
    click.echo(compare.text((first, second), found))
    raise SystemExit(found.verdict == "differ")


@cli.command()
@click.argument("target", metavar="NAME|RUN")
@click.option("--replay", type=click.IntRange(min=1), metavar="STEPS", help="Train the first steps again and compare their losses.")
@machine_choices
def verify(target, replay, choices):
    """Check every file of a finished run against its passport, and whether its first steps come out again.

    Example: hft verify quickstart --replay 3
    """
    from hft import runs, verify

    verify.verify(runs.find(target), replay, choices)


@cli.command()
@click.argument("target", metavar="NAME|RUN")
def bless(target):
    """Keep a finished run's losses beside its recipe: later trainings warn as soon as they leave them.

    Example: hft bless quickstart
    """
    from hft import curve, runs

    click.echo(f"{curve.bless(runs.find(target))} is the reference curve now")


@cli.command()
@click.argument("target", metavar="NAME|RUN")
def lineage(target):
    """Show the stages that a run came from, with the digests of their recipes and weights.

    Example: hft lineage medical_quickstart_2
    """
    from hft import report, runs

    click.echo(report.lineage(runs.find(target)))


@cli.command()
@click.option("--digest", is_flag=True, help="Only what identifies the image, without the lists of packages.")
def image(digest):
    """Print the manifest of the image that hft runs in: lock, packages, digests.

    Example: hft image --digest
    """
    import json

    from hft import image

    manifest = image.read()
    if manifest is None:
        raise errors.HftError("hft does not run in an image here", "make image-digest   (after: make build)")
    click.echo(json.dumps(image.digests(manifest) if digest else manifest, indent=1, sort_keys=True))
