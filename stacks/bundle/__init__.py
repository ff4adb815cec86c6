"""The zip that every Lambda function runs from, built the same way each time: `make bundle`.

    targets.py    the locked requirements for the machine that runs them: wheels for Lambda's, what is installed for this one
    contents.py   which of their files go in, which are left out and why
    native.py     compiled modules without the symbols that nothing loads
    bytecode.py   compiled beforehand, where there is an interpreter of the right version
    build.py      puts these together; archive.py writes the zip

It deploys nothing, and imports nothing of `payments_sandbox`: the contract is prepared by a command of that package. Importing
this imports nothing else.
"""
