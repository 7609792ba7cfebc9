"""Events of TensorBoard's HParams tab: the columns of a study, and the values of each trial.

The plugin's own helpers need TensorFlow; the messages are its public format.
"""

import time
from collections.abc import Mapping

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)

from raycolor.plan import Plan
from raycolor.spaces.domains import Choice, Domain, Scalar
from raycolor.study.naming import short_path
from raycolor.study.state import Status

METRICS = ("generator_loss", "psnr", "colorfulness")
"""Columns after the objective: those that a trial has in its pretraining too, since TensorBoard
draws no line for a trial that lacks one."""
CONSTANT = ("evaluation_images", "disjoint_images")
"""Numbers of a report that are the same in all of them, so that a curve says nothing."""


def experiment(plan: Plan) -> Summary:
    """Describe the columns: every searched setting with its domain, then the objective and others.

    Without this TensorBoard sorts the metrics by name and shows the first alone.
    """
    described = api_pb2.Experiment(
        hparam_infos=[_hparam(path, domain) for path, domain in plan.space.search.items()],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=tag)
            for tag in (plan.objective, *METRICS)
        ],
        time_created_secs=time.time(),
    )
    return _summary(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=described))


def session_start(name: str, chosen: Mapping[str, Scalar]) -> Summary:
    """Begin a trial.

    Args:
        name: the trial's.
        chosen: its searched values.
    """
    start = SessionStartInfo(group_name=name, start_time_secs=time.time())
    for path, value in chosen.items():
        match value:
            case bool():
                start.hparams[path].bool_value = value
            case int() | float():
                start.hparams[path].number_value = value
            case _:
                start.hparams[path].string_value = str(value)
    return _summary(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))


def session_end(status: Status) -> Summary:
    """End a trial: a failed one as a failure, a pruned one as a success."""
    told = api_pb2.STATUS_FAILURE if status == "failed" else api_pb2.STATUS_SUCCESS
    end = SessionEndInfo(status=told, end_time_secs=time.time())
    return _summary(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))


def _hparam(path: str, domain: Domain) -> api_pb2.HParamInfo:
    described = api_pb2.HParamInfo(name=path, display_name=short_path(path))
    if isinstance(domain, Choice):
        kinds = {type(value) for value in domain.values}
        if kinds <= {bool}:
            described.type = api_pb2.DATA_TYPE_BOOL
            described.domain_discrete.extend(domain.values)
        elif kinds <= {int, float}:
            described.type = api_pb2.DATA_TYPE_FLOAT64
            described.domain_discrete.extend(float(str(value)) for value in domain.values)
        else:
            described.type = api_pb2.DATA_TYPE_STRING
            described.domain_discrete.extend(map(str, domain.values))
    else:
        described.type = api_pb2.DATA_TYPE_FLOAT64
        described.domain_interval.min_value = domain.low
        described.domain_interval.max_value = domain.high
    return described


def _summary(tag: str, data: HParamsPluginData) -> Summary:
    value = Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data))
    value.tensor.CopyFrom(metadata.NULL_TENSOR)
    return Summary(value=[value])
