"""What `mf explain` says of each code: what it means, why it is refused, a wrong and a right example.

An example is either keys of a family, or whole files, of which each begins with a comment that names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from modelfactory.diagnostics import Code


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a code means.

    Attributes:
        title: the code in one sentence.
        text: why it is refused or told, and what to do.
        wrong: an example that gets this code; empty where files alone cannot show it.
        right: the same without the mistake.
    """

    title: str
    text: str
    wrong: str = ""
    right: str = ""


EXPLANATIONS: Mapping[Code, Explanation] = MappingProxyType(
    {
        Code.NO_PROJECT: Explanation(
            "There is no project file, or no such folder.",
            "mf looks for `mf_project.yml`, `mf_project.yaml` or `mf_project.toml` in the folder it is started in and "
            "in the folders above it; with `--project-dir` in that folder alone. `mf init DIR` makes a small project "
            "that builds at once.",
        ),
        Code.TWO_PROJECT_FILES: Explanation(
            "A folder holds more than one project file.",
            "mf cannot know which of them is meant, and to merge them would hide where a value comes from. Keep one. "
            "The other files of a project may be YAML and TOML side by side.",
            "# mf_project.yml\nname: flights\n# mf_project.toml\nname = 'flights'\n",
            "# mf_project.yml\nname: flights\n",
        ),
        Code.UNREADABLE: Explanation(
            "A file or folder that the project names cannot be read.",
            "The file is missing, is not UTF-8 text, or its permissions forbid reading it. A folder in `family_paths` "
            "or `source_paths` that does not exist is an error too: its families would vanish without a word. "
            "Paths begin at the project folder.",
            "# mf_project.yml\nname: flights\nfamily_paths: [famlies]\n",
            "# mf_project.yml\nname: flights\nfamily_paths: [families]\n",
        ),
        Code.EMPTY_FILE: Explanation(
            "A file is empty, or holds comments only.",
            "A file that lost its content by accident looks like this, and its families would vanish without a word. "
            "Delete the file, or write what it is to hold.",
            "# families/later.yml\n# to be done\n",
            "# families/later.yml\nfamilies: []\n",
        ),
        Code.SYNTAX: Explanation(
            "A file is not valid YAML or TOML.",
            "The reader stopped at the place that is shown; the mistake is there or just before it. Usual causes: a "
            "bracket or quote that is not closed, a tab where YAML wants blanks, a text with `: ` or ` #` in it that "
            "needs quotes, a text without quotes in TOML.",
            "group_by: [k\n",
            "group_by: [k]\n",
        ),
        Code.DUPLICATE_KEY: Explanation(
            "A key stands twice in one mapping.",
            "Most readers of YAML keep the last value and say nothing, so that a change to the first one does not do "
            "anything. mf takes neither: keep one of them.",
            "label: y\nlabel: z\n",
            "label: y\n",
        ),
        Code.CANNOT_FORMAT: Explanation(
            "`mf fmt` has no canonical form for a file and leaves it as it is; a warning.",
            "A formatted file is read as before and has all its comments; where that cannot be had, as with texts that "
            "end in `|+` or an alias before its anchor, the file stays. It is as valid as any other.",
        ),
        Code.UNKNOWN_KEY: Explanation(
            "A key that the file may not have.",
            "A misspelt key that was passed over would leave its default in force, and a fleet of models would be "
            "trained with it. `docs/reference.md` lists the keys of every file; what mf need not understand goes "
            "below `meta`.",
            "lable: y\n",
            "label: y\n",
        ),
        Code.BAD_VALUE: Explanation(
            "A value of the wrong kind or outside its limits, or a key that is missing.",
            "The message says what must stand there. In YAML `no`, `on` and `off` are texts, as in YAML 1.2; true and "
            "false are `true` and `false`. A number in quotes is a text.",
            "min_rows: many\n",
            "min_rows: 30\n",
        ),
        Code.UNKNOWN_PARAMETER: Explanation(
            "A parameter that the class does not take.",
            "The names come from the class itself, as it is installed where mf runs. scikit-learn would refuse the "
            "parameter too, but only in the workers, once per group. A parameter of a nested estimator belongs below "
            "that estimator: `estimator: {class: Ridge, params: {alpha: 1}}`, not `estimator__alpha: 1`.",
            "estimator: {class: RandomForestRegressor, params: {max_dept: 12}}\n",
            "estimator: {class: RandomForestRegressor, params: {max_depth: 12}}\n",
        ),
        Code.BAD_PARAMETER: Explanation(
            "A parameter's value that the class does not accept.",
            "Types, ranges and choices are scikit-learn's own parameter constraints, of the version that is "
            "installed. scikit-learn would refuse the value in `fit`, so that every group would fail.",
            "estimator: {class: Ridge, params: {alpha: -1}}\n",
            "estimator: {class: Ridge, params: {alpha: 0.5}}\n",
        ),
        Code.UNKNOWN_CLASS: Explanation(
            "A class that does not exist, cannot be imported, or is of no allowed package.",
            "A public class of scikit-learn may be written by its bare name; any other by its whole dotted path, and "
            "its top-level package has to be in `estimator_packages` of the project file. Importing a package runs "
            "its code, so the list says whose code a project may run.",
            "estimator: RandomForrestRegressor\n",
            "estimator: RandomForestRegressor\n",
        ),
        Code.DUPLICATE_NAME: Explanation(
            "Two families or two sources have the same name.",
            "The name of a family is the name of its folder in the store: two of them would publish over each other. "
            "Sources are views in Spark, which does not tell upper from lower case.",
            "# sources/more.yml\nsources:\n  - {name: a, path: data/a.parquet}\n  - {name: A, path: data/b.parquet}\n",
            "# sources/more.yml\nsources:\n  - {name: a, path: data/a.parquet}\n  - {name: b, path: data/b.parquet}\n",
        ),
        Code.UNKNOWN_SOURCE: Explanation(
            "A family names a source that is not declared.",
            "Sources are declared under `sources` in the files of `source_paths` (by default the folder `sources`). "
            "A table of Spark's catalog is declared too, by `table`.",
            "source: rides\n",
            "source: s\n",
        ),
        Code.RESERVED_COLUMN: Explanation(
            "A group column has the name of a column of the result, or a name begins with `_mf_`.",
            "The group table has the group columns and then `status`, `n_rows`, `metrics` and others: one name cannot "
            "be both. Rename the column in the input.",
            "group_by: [status]\n",
            "sql: select status as order_status, * from {{ source('s') }}\ngroup_by: [order_status]\n",
        ),
        Code.UNKNOWN_VARIABLE: Explanation(
            "A variable or environment variable is not set and has no default.",
            "`${var:NAME}` is a key of `vars` in the project file or of `--vars`; `${env:NAME}` is set outside. "
            "A default stands behind `:-`.",
            "min_rows: ${var:least_rows}\n",
            "min_rows: ${var:least_rows:-30}\n",
        ),
        Code.BAD_SQL_TEMPLATE: Explanation(
            "The Jinja of `sql` cannot be rendered.",
            "`source()`, `var()`, `env_var()` and `target` are known in `sql` and `sql_file`; a name that is not known "
            "is an error and not an empty text. The SQL itself is read by Spark when the family is built.",
            "sql: select * from {{ surce('s') }}\n",
            "sql: select * from {{ source('s') }}\n",
        ),
        Code.CONFLICT: Explanation(
            "Two parts of a definition do not go together.",
            "Each part is right by itself: a feature that is also the label, a classifier without a label, weights "
            "for an estimator that takes none, a categorical feature that nothing encodes. The message says which.",
            "features: [x, y]\nlabel: y\n",
            "features: [x]\nlabel: y\n",
        ),
        Code.UNKNOWN_METRIC: Explanation(
            "A metric that does not exist, or does not measure this kind of model.",
            "`docs/reference.md` lists the metrics of regression and of classification. Many functions of "
            "`sklearn.metrics` go by their short names: `rmse` and not `root_mean_squared_error` alone.",
            "evaluate: {holdout: 0.2, metrics: [rsme]}\n",
            "evaluate: {holdout: 0.2, metrics: [rmse]}\n",
        ),
        Code.UNKNOWN_TARGET: Explanation(
            "A target that `profiles.yml` does not have.",
            "`local` exists without any file. Other targets are declared under `targets` in `profiles.yml`, beside "
            "the project file, in `--profiles-dir` or in `~/.mf`.",
            "# mf_project.yml\nname: flights\ntarget: cluster\n",
            "# mf_project.yml\nname: flights\ntarget: cluster\n"
            "# profiles.yml\ntargets:\n  cluster: {master: 'spark://host:7077'}\n",
        ),
        Code.UNKNOWN_FAMILY: Explanation(
            "A family names another that is not declared.",
            "`fallback` names the family whose models stand in where this one has none. A family that was renamed has "
            "to be named by its new name.",
            "fallback: bsae\n",
            "fallback: base\n",
        ),
        Code.CYCLE: Explanation(
            "Families read each other's results, or stand in for each other, in a circle.",
            "What reads the groups of another by `ref()` is built behind it, and what stands in for another must not "
            "need it in turn. In a circle none could be the first.",
            "sql: select * from {{ ref('f') }}\n",
            "sql: select * from {{ ref('base') }}\n",
        ),
        Code.UNUSED_VARIABLE: Explanation(
            "A variable of the project that nothing refers to; a warning.",
            "A variable that is changed and changes nothing misleads. Remove it, or refer to it by `${var:NAME}` or, "
            "in `sql`, by `{{ var('NAME') }}`.",
            "# mf_project.yml\nname: flights\nvars: {least_rows: 30}\n",
            "# mf_project.yml\nname: flights\nvars: {least_rows: 30}\ndefaults: {min_rows: '${var:least_rows}'}\n",
        ),
        Code.UNUSED_DEFAULTS: Explanation(
            "A file of defaults in a folder without families; a warning.",
            "A `_defaults` file holds for the families in its folder and below, and there are none. Perhaps it stands "
            "in the wrong folder, or the families were moved.",
            "# families/old/_defaults.yml\nowner: planning\n",
            "# families/_defaults.yml\nowner: planning\n",
        ),
        Code.MISSING_PATH: Explanation(
            "The path of a source does not exist.",
            "A relative path begins at the project folder. A build needs the data, and refuses to start; `mf parse` "
            "only warns, and says nothing where the whole folder is absent, as in a checkout without data.",
        ),
        Code.MISSING_COLUMN: Explanation(
            "A column that the input or the source does not have.",
            "The names are compared as Spark does, without regard to case. Where the header can be read without "
            "Spark (a local Parquet file, a local CSV file with `header: true`), mf finds it before anything starts.",
        ),
        Code.COLUMN_TYPE: Explanation(
            "A column has another type than was declared, or one that cannot be used in its place.",
            "Numeric features, weights and the label of a regressor must be numbers, dates or timestamps; a text "
            "column is a feature of `kind: categorical`. Columns of arrays, maps and structs have to be taken apart "
            "in `sql`.",
        ),
        Code.EMPTY_INPUT: Explanation(
            "The input of a family has no rows.",
            "The source is empty, or `where` or `sql` lets no row pass. Nothing is published: the current version "
            "stays.",
        ),
        Code.SPARK_SQL: Explanation(
            "Spark cannot read a source or run the query.",
            "The message is Spark's own. `mf compile -s FAMILY` writes the query as Spark gets it to "
            "`target/compiled/FAMILY.sql`.",
        ),
        Code.NULL_KEY: Explanation(
            "A group column holds nulls, and `null_keys` is `error`.",
            "`null_keys: skip` gives such groups the outcome `null_key`, and `null_keys: group` trains them like any "
            "other.",
        ),
        Code.FORGOTTEN: Explanation(
            "The input has rows of a group that was forgotten; a warning.",
            "`mf forget` removes a group from the store and not from the input, and a build trains whatever the input "
            "has. Delete the rows where they come from, or leave them out by `where`, and forget the group once more. "
            "With `--warn-error` such a family is not built.",
        ),
        Code.NO_JAVA: Explanation(
            "There is no Java, or it is too old.",
            "Spark needs Java 17 or later: set `JAVA_HOME`, put `java` on the path, or install the extra `java` of "
            "this package. `mf debug` shows which Java is found.",
        ),
        Code.SPARK_SESSION: Explanation(
            "Spark does not start, or its workers cannot run Python.",
            "`mf debug --connection` starts Spark by itself and asks a worker. What Spark said is in the log that the "
            "message names.",
        ),
        Code.STORE: Explanation(
            "The store or a file in it cannot be read or written.",
            "A disk is full, permissions are missing, or a file of a version was changed or removed by hand. "
            "`mf debug --store` reads every file of the store and compares it with its manifest.",
        ),
        Code.STORE_SCHEMA: Explanation(
            "A manifest is damaged, or was written by a later release.",
            "A later release may keep what this one would misread, so it is not touched. Use the release that wrote "
            "it, or a later one.",
        ),
        Code.STORE_LOCKED: Explanation(
            "Another build holds the family, or has published it first.",
            "Two builds of one family would publish over each other, and `mf rollback` and `mf prune` replace the same "
            "manifest. Wait for the other and start again; `mf show FAMILY` tells what is current then. The exit code "
            "is 5.",
        ),
        Code.WORKERS: Explanation(
            "The workers of a cluster have other versions than this machine, which could not load their models.",
            "A model is loaded by the scikit-learn that fitted it. Install the same versions of Python, scikit-learn "
            "and NumPy on the workers and here.",
        ),
        Code.PLAN_STALE: Explanation(
            "Something has moved since the plan was made that a build is to carry out.",
            "A saved plan holds the fingerprints of definitions, rows and libraries and the current versions that it "
            "was made from. Where one of them is another, `mf build --plan` builds nothing: what was reviewed is not "
            "what would be done. `mf plan --out` makes a new one. The exit code is 5.",
        ),
        Code.NO_PACKAGE: Explanation(
            "A package is not installed that a definition or a command needs.",
            "What not everybody needs is an extra: `persistence: skops` needs "
            "`pip install 'modelfactory-spark[skops]'`, here and on the workers; "
            "a test that is a query of `sql` needs `modelfactory-spark[sql]`, here alone; "
            "`mf export --format onnx` needs `modelfactory-spark[onnx]`.",
        ),
        Code.NOTHING_SELECTED: Explanation(
            "The selection matches no family.",
            "A build that does nothing and ends well would look like a build that has done its work. `mf ls` with the "
            "same selection lists what it matches. The exit code is 4.",
        ),
        Code.BAD_OPTION: Explanation(
            "An option's value cannot be used.",
            "`mf COMMAND --help` lists the options of a command with the values they take.",
        ),
        Code.NOT_BUILT: Explanation(
            "The family has no version yet.",
            "`mf build -s FAMILY` trains it. If it was built before, look whether `--target` names the same store.",
        ),
        Code.UNMATCHED: Explanation(
            "A part of a selection matches nothing; a warning.",
            "The rest of the selection is used. With `--warn-error` it is an error.",
        ),
        Code.UNDECLARED_VARIABLE: Explanation(
            "`--vars` names a variable that the project does not declare; a warning.",
            "A misspelt variable would leave the project's own value in force. Declare it in `vars` of the project "
            "file.",
        ),
        Code.NO_PREDICTION: Explanation(
            "The models of a family do not predict.",
            "Some estimators, such as `DBSCAN`, have no `predict`: their groups and metrics can be looked at, and rows "
            "cannot be scored by them.",
        ),
        Code.UNSAFE_MODEL: Explanation(
            "The bytes of a model are not those that were published, or name what may not be loaded.",
            "Nothing of the bytes was run. If a package of your own is named, put it on `estimator_packages` of the "
            "project, or give it to `open_store(…, packages=…)`; otherwise treat the store as tampered with: "
            "`mf debug --store` looks at every file.",
        ),
        Code.OTHER_LIBRARIES: Explanation(
            "Models were fitted by another scikit-learn than the one that is installed.",
            "scikit-learn does not promise that they predict the same, or at all. Install the version in the message, "
            "build the family anew, or accept the risk with `--allow-version-mismatch`.",
        ),
        Code.NOT_EXPORTED: Explanation(
            "Models cannot be written in the format that was asked for.",
            "SQL holds linear regressors, alone or behind one `StandardScaler`; ONNX holds what skl2onnx can convert. "
            "Where some models of a family cannot be written it is a warning, and they are counted and named in "
            "`index.parquet`. `--format mlflow` and `--format joblib` hold every model.",
        ),
        Code.TOO_MANY_FAILED: Explanation(
            "More groups failed than `max_failed` allows; the version is not published.",
            "The current version stays. `target/runs/RUN/` holds what came of the groups; raise `max_failed` only if "
            "the failures are meant.",
        ),
        Code.RUN_FAILED: Explanation(
            "The Spark job of a family failed as a whole.",
            "What failed is in the message and in the log of the run. A group that fails is an outcome and never ends "
            "the job, so the cause is Spark, the machine or mf itself.",
        ),
        Code.ACCOUNTING: Explanation(
            "Groups or rows do not add up between census and training; the version is not published.",
            "The input changed between the census and the training, or its query is not deterministic (`rand()`, "
            "`limit` without `order by`): read from a table that stands still.",
        ),
        Code.NO_MODELS: Explanation(
            "No group of a family has a model; the version is not published.",
            "Every group was too small, too large, or failed. `min_rows`, `max_rows` and the reasons in the message "
            "say why.",
        ),
        Code.TESTS_FAILED: Explanation(
            "A declared test fails; the version is not published.",
            "What `tests` of the family say does not hold, or could not be judged. The current version stays, and the "
            "new one is kept as the family's candidate, to be looked at. `severity: warn` makes a test tell and not "
            "hold back.",
        ),
    }
)
