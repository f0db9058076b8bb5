# SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
#
# SPDX-License-Identifier: Apache-2.0

"""Make the empty databases: prepare.py keystone|neutron. Run once, when the root is made."""

import base64
import os
import subprocess
import sys

if sys.argv[1] == "neutron":
    # neutron-db-manage cannot migrate SQLite; the models make the same tables.
    from neutron.db.migration.models import head
    from sqlalchemy import create_engine

    head.get_metadata().create_all(create_engine("sqlite:////run/stack/neutron.db"))
else:
    # What fernet_setup and credential_setup do: a staged and a primary key each.
    for name in "fernet", "credential":
        os.makedirs("/run/stack/" + name, mode=0o700, exist_ok=True)
        for key in "0", "1":
            with open("/run/stack/%s/%s" % (name, key), "wb") as f:
                f.write(base64.urlsafe_b64encode(os.urandom(32)))
    manage = [sys.executable, "/usr/bin/keystone-manage", "--config-file", "/run/stack/keystone.conf"]
    subprocess.run(manage + ["db_sync"], check=True)
    subprocess.run(manage + ["bootstrap", "--bootstrap-password", "admin"], check=True)
