"""`twistd chatd`: one ServiceMaker; everything else is in `chatd.tap`."""

from twisted.application.service import ServiceMaker

chatd = ServiceMaker("chatd", "chatd.tap", "A federated chat daemon", "chatd")
