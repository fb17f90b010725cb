"""seldon-core-microservice with the arguments that it takes, here: CLASS --service-type TYPE, on this machine only."""

import loopback

loopback.only()

from seldon_core.microservice import main  # noqa: E402

main()
