from tests.flows.fixtures import inline

__all__ = ["inline"]
