import timm

from raycolor.timm_names import is_timm_name, timm_names


def test_are_those_that_timm_lists() -> None:
    assert timm_names() == frozenset(timm.list_models())


def test_weights_may_be_named_by_their_tag() -> None:
    assert is_timm_name("resnet50")
    assert is_timm_name("resnet50.a1_in1k")
    for name in ("resnet5o", "resnet50.", "resnet50.a/b", "", ".a1_in1k", "resnet50.a.b"):
        assert not is_timm_name(name), name
