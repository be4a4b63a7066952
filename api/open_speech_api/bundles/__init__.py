"""Bundles: providers and weights in one directory, for machines without a network.

::

    DIR/manifest.json        what is in it, for which Python and platform; a digest of every other file
        SHA256SUMS           the same digests for `sha256sum -c`
        LICENCES.txt         names and texts of every wheel's and model's licence
        requirements/*.txt   one a provider, and server.txt: exact versions, one digest each
        wheels/*.whl         ours and third-party, for one Python and platform
        weights/PROVIDER/    what goes into models/PROVIDER of the data folder

``create`` assembles it beside its final name and renames it. ``install`` reads and compares every byte before it
changes anything; then come the weights, each model by renaming, then the providers, each as one that is installed
while the server runs: an environment of its own, verified by a worker, put in force by renaming its folder. Killed
anywhere, it leaves models and providers that are whole or not there, and may be run again.
"""
