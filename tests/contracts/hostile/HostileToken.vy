# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title A token that plays one trick; anyone may mint.
"""

HONEST: constant(uint256) = 0
TAKES_FEE: constant(uint256) = 1
ANSWERS_FALSE: constant(uint256) = 2
ANSWERS_NOTHING: constant(uint256) = 3  # but moves, as some real tokens do
MOVES_NOTHING: constant(uint256) = 4
MINTS_MORE: constant(uint256) = 5  # to the payer, in the middle of the payment
ANSWERS_TWO: constant(uint256) = 6
BURNS_PAYER: constant(uint256) = 7  # takes more from the payer than the price
CALLS_BACK: constant(uint256) = 8
GOES_SILENT: constant(uint256) = 9  # balanceOf fails once anything has moved
REVERT_BOMB: constant(uint256) = 10

trick: uint256
balances: HashMap[address, uint256]
allowance: public(HashMap[address, HashMap[address, uint256]])
blacklisted: public(HashMap[address, bool])
moved: bool
target: address
data: Bytes[8192]
called_back: public(bool)
succeeded: public(bool)


@deploy
def __init__(_trick: uint256):
    self.trick = _trick


@external
def mint(to: address, amount: uint256):
    self.balances[to] += amount


@external
def approve(spender: address, amount: uint256):
    self.allowance[msg.sender][spender] = amount


@external
def blacklist(account: address, listed: bool):
    self.blacklisted[account] = listed


@external
def plan(target: address, data: Bytes[8192]):
    self.target = target
    self.data = data


@external
@view
def balanceOf(account: address) -> uint256:
    assert self.trick != GOES_SILENT or not self.moved
    return self.balances[account]


@external
@raw_return
def transferFrom(sender: address, to: address, amount: uint256) -> Bytes[64]:
    assert not self.blacklisted[sender] and not self.blacklisted[to], "blacklisted"
    self.allowance[sender][msg.sender] -= amount
    self.moved = True
    if self.trick == ANSWERS_FALSE:
        return abi_encode(False)
    if self.trick == MOVES_NOTHING:
        return abi_encode(True)
    if self.trick == REVERT_BOMB:
        words: DynArray[uint256, 900] = []
        for i: uint256 in range(900):
            words.append(i)
        raw_revert(abi_encode(words))
    if self.trick == CALLS_BACK:
        self.called_back = True
        self.succeeded = raw_call(self.target, self.data, revert_on_failure=False)
    self.balances[sender] -= amount
    self.balances[to] += amount
    if self.trick == TAKES_FEE:
        self.balances[to] -= amount // 100
    if self.trick == MINTS_MORE:
        self.balances[sender] += 1
    if self.trick == BURNS_PAYER:
        self.balances[sender] -= 1
    if self.trick == ANSWERS_NOTHING:
        return b""
    if self.trick == ANSWERS_TWO:
        return abi_encode(convert(2, uint256))
    return abi_encode(True)
