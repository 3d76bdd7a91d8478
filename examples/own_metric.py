"""Metrics of your own: ``hmbench score --run RUN --metric own_metric:Brightness --metric own_metric:red_share``."""

from hmbench import Case, MetricInfo, Score


class Brightness:
    """Mean brightness of the prediction, in [0, 255]."""

    info = MetricInfo(name="brightness", version=1, higher_is_better=None, bounds=(0, 255), headline=True)

    def __call__(self, case: Case) -> Score:
        return Score(float(case.prediction.mean()))


def red_share(case: Case) -> float:
    """Mean red of the prediction, in [0, 1]: a plain function of a case will do."""
    return case.prediction[..., 0].mean() / 255
