"""Physics of CT perfusion: contrast in the artery and the tissue, its scan, and the maps from it.

Pure functions of arrays, without anatomy or files. Times are in s, attenuation in HU, flow in
ml/100 g/min, blood volume in ml/100 g.
"""
