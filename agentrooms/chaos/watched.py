"""A living system with two API processes, which clients watch while its swarms trade and faults strike."""

from __future__ import annotations

import hashlib
import os
import random
import secrets
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec
import redis
from eth_account import Account

from agentrooms.actors.cells import create
from agentrooms.actors.remote import end
from agentrooms.actors.service_cells import LogSpec, create_services
from agentrooms.chaos import oracle
from agentrooms.chaos.broadcasts import echo, unsubscribe_all
from agentrooms.chaos.crowd import Crowd
from agentrooms.chaos.ground import Ground, ground
from agentrooms.chaos.plan import RESTART
from agentrooms.chaos.processes import living, send_signal
from agentrooms.chaos.seed import Stalled, await_, describe
from agentrooms.chaos.seen import check_seen, check_snapshots, check_words, frames_of
from agentrooms.chaos.socket_plan import Fault, SocketPlan, draw_socket_plan
from agentrooms.chaos.strikes import strike_postgres
from agentrooms.client import Client
from agentrooms.client.exchange import Session
from agentrooms.client.problem import ApiProblem, ApiUnreachable
from agentrooms.domain.keys import derive_key
from agentrooms.events.journal import fence
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.events.store import QueryItem, StoreError
from agentrooms.live.access import LOG, RUNNING, Running
from agentrooms.live.cells import DESK, DeskCell, LivePlan
from agentrooms.live.chain import chain_of
from agentrooms.live.commands import CloseRoom, OpenRoom, RunSwarm
from agentrooms.live.inbox import Inbox, State, migrate_inbox
from agentrooms.live.wallets import SECRET_BYTES, made_id, room_key
from agentrooms.services.child import Child, Keeper
from agentrooms.services.folder import DataFolder
from agentrooms.services.listening import listening
from agentrooms.services.redis import client
from agentrooms.services.settings import Settings

