"""First contact: one container, both users."""


def test_hello(berth):
    result = berth.run("test", "echo", "hello").check()
    assert result.out == "hello\n" and result.err == ""
    berth.assert_clean()
