"""Makes the second molecule of the tests: glycine dipeptide (ACE-GLY-NME, 19 atoms).

    python crates/trade-bench/peers/glycine.py crates/trade-molecule/data/alanine/topology.pdb crates/trade-molecule/data/glycine

Force field, solvent and constraints are those of alanine dipeptide: amber99sb-ildn, OBC2 with the
ACE surface term, X-H bonds rigid, no cutoff. Writes system.xml, topology.pdb (a minimum) and
energies.json: energies by force, in double precision on OpenMM's Reference platform, of 16
conformations: the minimum, moved atoms, and Langevin dynamics at 300, 600 and 1000 K.
"""

import json
import sys
from pathlib import Path

import numpy as np
import openmm as mm
from openmm import app, unit

source, folder = sys.argv[1], Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)

# Alanine with its side chain cut to a hydrogen.
lines = []
for line in open(source):
    if not line.startswith("ATOM"):
        continue
    name = line[12:16].strip()
    if name in ("HB1", "HB2", "HB3"):
        continue
    if name == "CB":
        line = line[:12] + " HA3" + line[16:76] + " H" + line[78:]
    if name == "HA":
        line = line[:12] + " HA2" + line[16:]
    lines.append(line.replace("ALA", "GLY"))
order = sorted(range(len(lines)), key=lambda i: (int(lines[i][22:26]), i))
text = "".join(lines[i][:6] + f"{k + 1:5d}" + lines[i][11:] for k, i in enumerate(order))
scratch = folder / "topology.pdb"
scratch.write_text(text + "END\n")
pdb = app.PDBFile(str(scratch))

field = app.ForceField("amber99sbildn.xml", "amber96_obc.xml")
system = field.createSystem(
    pdb.topology, nonbondedMethod=app.NoCutoff, constraints=app.HBonds
)
(folder / "system.xml").write_text(mm.XmlSerializer.serialize(system))

names = [force.__class__.__name__ for force in system.getForces()]
for group, force in enumerate(system.getForces()):
    force.setForceGroup(group)
reference = mm.Platform.getPlatformByName("Reference")
integrator = mm.LangevinMiddleIntegrator(
    600 * unit.kelvin, 1 / unit.picosecond, 2 * unit.femtosecond
)
integrator.setRandomNumberSeed(7)
context = mm.Context(system, integrator, reference)
context.setPositions(pdb.positions)
mm.LocalEnergyMinimizer.minimize(context, 1e-4)


def positions():
    state = context.getState(getPositions=True)
    return state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)


minimum = positions() - positions().mean(axis=0)
with open(scratch, "w") as file:
    app.PDBFile.writeFile(pdb.topology, minimum * unit.nanometer, file)

random = np.random.default_rng(5)
list_of = [("minimum", minimum)]
for width in (0.002, 0.02, 0.05):
    list_of.append((f"minimum + N(0, {width} nm)", minimum + random.normal(0, width, minimum.shape)))
for kelvin in (300, 600, 1000):
    integrator.setTemperature(kelvin * unit.kelvin)
    context.setVelocitiesToTemperature(kelvin * unit.kelvin, 3)
    for _ in range(4):
        integrator.step(2000)
        list_of.append((f"{kelvin} K", positions()))

conformations = []
for index, (label, x) in enumerate(list_of):
    context.setPositions(x * unit.nanometer)
    energies = {}
    for group, name in enumerate(names):
        state = context.getState(getEnergy=True, groups={group})
        energies[name] = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    energies["total"] = sum(energies.values())
    conformations.append(
        {
            "index": index,
            "label": label,
            "positions_nm": np.asarray(x).tolist(),
            "energy_kJ_per_mol": energies,
        }
    )
(folder / "energies.json").write_text(json.dumps({"conformations": conformations}, indent=1) + "\n")
