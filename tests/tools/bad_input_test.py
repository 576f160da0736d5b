"""Each wrong input gives one clear message and exit code 2, and nothing is written."""
import shutil
import unittest

from fixture import Case, run


class BadInput(Case):
    def study_with(self, old, new):
        study = self.init("study-" + str(abs(hash((old, new)))))
        file = study / "study.textproto"
        text = file.read_text()
        self.assertIn(old, text)
        file.write_text(text.replace(old, new, 1))
        return study

    def finetune(self, model=None, data=None, out="out"):
        return ("finetune", model or self.root / "base", "--task", "sample", "--data", data or self.data, "--rows", 64, "--out",
                self.root / out)

    def data_with(self, change):
        copy = self.root / f"data-{len(list(self.root.iterdir()))}"
        shutil.copytree(self.data, copy)
        file = copy / "SAMPLE/train.tsv"
        lines = file.read_text().splitlines()
        lines[5] = change(lines[5])
        file.write_text("\n".join(lines) + "\n")
        return copy

    def model_with(self, change):
        copy = self.root / f"model-{len(list(self.root.iterdir()))}"
        shutil.copytree(self.root / "base", copy)
        change(copy)
        return copy

    def test_export(self):
        model = self.root / "teacher"
        self.refuse(("export", self.root / "nothing", "--out", self.root / "x"), "nothing", "neither a study nor a model")
        self.refuse(("export", model, "--out", self.root / "x"), "--out", "beside it")
        self.refuse(("export", model), "model.onnx", "--force")
        self.refuse(("export", model, "--quantize", "int8", "--task", "sample"), "--data")
        self.refuse(("export", model, "--task", "sample", "--data", self.data), "--quantize")

    def test_predict(self):
        model = self.root / "teacher"
        self.refuse(("predict", model), "--file")
        self.refuse(("predict", model, "a text", "--file", self.root / "rows.tsv"), "one of the two")
        self.refuse(("predict", model, "--file", self.root / "rows.tsv"), "rows.tsv", "cannot be read")
        self.refuse(("predict", self.root / "base", "a text"), "no task head")

    def test_submission_that_cannot_be(self):
        wanted = ("evaluate", self.root / "teacher", "--task", "sample", "--data", self.data, "--submission", self.root / "sub")
        self.refuse(wanted, "--submission", "no test file")
        self.assertEqual(run(*wanted, check=False).stdout, "", "refused before it computes anything")

    def test_misspelt_field(self):
        study = self.study_with("stacks: [", "stakcs: [")
        self.refuse(("search", study), "study.textproto:", "stakcs", "accepted: expression, stacks, ratio")

    def test_value_out_of_range(self):
        study = self.study_with("holdout: 0.15", "holdout: 1.5")
        self.refuse(("search", study), "study.textproto:", "holdout", "got 1.5", "below 1")

    def test_missing_teacher(self):
        study = self.init("study-missing")
        self.refuse(("search", study, "--set", "teacher.model=/nowhere/teacher"), "/nowhere/teacher")
        self.refuse(self.finetune(model="/nowhere/model"), "/nowhere/model")

    def test_teacher_without_head(self):
        study = self.init("study-headless")
        self.refuse(("search", study, "--set", f"teacher.model={self.root}/base"), "thimble finetune", "head")
        architecture = self.root / "teacher/architecture.textproto"
        self.refuse(("distill", self.root / "base", "--architecture", architecture, "--task", "sample", "--data", self.data,
                     "--out", self.root / "x"), "thimble finetune", "head")

    def test_truncated_safetensors(self):
        def cut(directory):
            file = directory / "model.safetensors"
            file.write_bytes(file.read_bytes()[:-1000])
        self.refuse(self.finetune(model=self.model_with(cut)), "model.safetensors")

    def test_missing_column(self):
        data = self.data_with(lambda line: line.rsplit("\t", 1)[0])
        self.refuse(self.finetune(data=data), "train.tsv:6", "column")

    def test_unknown_label(self):
        data = self.data_with(lambda line: line.rsplit("\t", 1)[0] + "\tmaybe")
        self.refuse(self.finetune(data=data), "train.tsv:6", "maybe", "accepted: 0, 1")

    def test_unsatisfiable_constraint(self):
        study = self.init("study-unsatisfiable")
        self.refuse(("search", study, "--set", "constraint[0].parameters.max=1000", "--set", "constraint[0].parameters.min=1"),
                    "constraint", "1000")

    def test_numbers_of_a_recipe_on_the_command_line(self):
        recipe = self.root / "labels.textproto"
        recipe.write_text("objective { loss { hard_labels {} } } optimizer { adam { learning_rate: 1e-4 } }")
        for more in ((), ("--recipe", recipe)):
            self.refuse((*self.finetune(), *more, "--learning-rate", 5), "learning_rate", "5")
            self.refuse((*self.finetune(), *more, "--epochs", 20000), "epochs", "20000")

    def test_unknown_task_and_command(self):
        self.refuse(("finetune", self.root / "base", "--task", "nonsense", "--data", self.data, "--out", self.root / "out"),
                    "nonsense", "mrpc")
        done = run("serach", "x", check=False)
        self.assertEqual(done.returncode, 2)

    def test_output_is_not_overwritten(self):
        self.refuse(self.finetune(out="teacher"), "teacher", "--force")

    def test_head_counts_must_agree(self):
        study = self.init("study-heads")
        self.refuse(("search", study, "--set", "space.heads=2", "--set", "space.hidden=20"), "heads", "attention_scores")

    def test_missing_data(self):
        self.refuse(self.finetune(data=self.root / "nothing"), "train.tsv")


if __name__ == "__main__":
    unittest.main()
